"""The toy book, built once a session."""

from pathlib import Path

import pytest
import toybook

from gfm_utils.book import BuildReport, build


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy book's sources."""
    return toybook.write_book(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def toy_build(toy_root: Path) -> BuildReport:
    """The toy book, built at another profile than its default."""
    return build("smoke", root=toy_root, progress=False)
