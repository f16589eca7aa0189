"""The toy book, built once a session."""

import os
from pathlib import Path

import pytest
import toybook

from gfm_utils.book import BuildReport, build, pages
from gfm_utils.errors import GfmError


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy book's sources."""
    return toybook.write_book(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def toy_build(toy_root: Path) -> BuildReport:
    """The toy book, built at another profile than its default."""
    return build("smoke", root=toy_root, progress=False)


@pytest.fixture(autouse=True)
def _browser(request: pytest.FixtureRequest) -> None:
    """Skip what needs a browser where there is none, unless ``GFM_REQUIRE_BROWSER=1`` asks for it."""
    if request.node.get_closest_marker("browser") and os.environ.get("GFM_REQUIRE_BROWSER") != "1":
        try:
            pages.find_chromium()
        except GfmError as error:
            pytest.skip(str(error))
