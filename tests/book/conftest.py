"""The toy book, built once a session; its chapters read no corpus, so that none is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import toybook

from gfm_utils.book import BuildReport, build, driver


@contextmanager
def without_corpora() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "check_corpora", lambda *_: [])
        yield


@pytest.fixture(autouse=True)
def _no_corpora() -> Iterator[None]:
    with without_corpora():
        yield


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy book's sources."""
    return toybook.write_book(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def toy_build(toy_root: Path) -> BuildReport:
    """The toy book, built at another profile than its default."""
    with without_corpora():
        return build("smoke", root=toy_root, progress=False)
