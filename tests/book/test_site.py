"""The chapters of a book, by its table of contents."""

from pathlib import Path

import pytest

from gfm_utils.book.site import chapter_paths, toc_entries
from gfm_utils.errors import GfmError


def test_chapters_come_in_the_order_of_the_table_of_contents(toy_root: Path, tmp_path: Path) -> None:
    """An unknown chapter, a missing page and a missing table are refused."""
    assert toc_entries(toy_root) == ["intro", "chapters/one", "chapters/two", "references"]
    assert list(chapter_paths(toy_root)) == ["one", "two"] and list(chapter_paths(toy_root, ["two"])) == ["two"]
    with pytest.raises(GfmError, match="unknown chapter 'tow'; did you mean 'two'"):
        chapter_paths(toy_root, ["tow"])
    with pytest.raises(GfmError, match=r"no _toc\.yml"):
        toc_entries(tmp_path)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
    with pytest.raises(GfmError, match=r"neither intro\.md nor intro\.ipynb"):
        toc_entries(tmp_path)
