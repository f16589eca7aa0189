"""Parameters are checked before anything runs."""

from pathlib import Path

import pytest
import toybook

from gfm_utils.book.notebooks import chapter_paths, check_parameters, toc_entries
from gfm_utils.errors import GfmError


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells = [
        toybook.code('name = "a"\nsizes = [1, 2]\nrate = 0.5\nother = 1 + 1', ("parameters",)),
        toybook.code("%matplotlib inline\nprint(name, sizes, rate, other)"),
    ]
    return toybook.write_notebook(tmp_path / "n.ipynb", cells)


def test_only_what_differs_from_the_defaults_is_returned(notebook: Path) -> None:
    assert check_parameters(notebook, {"name": "a", "sizes": [3], "rate": 1}) == {"sizes": [3], "rate": 1}


@pytest.mark.parametrize(("given", "message"), [
    ({"nmae": "b"}, "unknown parameter of n.ipynb 'nmae'; did you mean 'name'"),
    ({"name": 1}, "must be of the type of its default 'a'"),
    ({"sizes": "12"}, "must be of the type"), ({"sizes": ["1"]}, "must be of the type"),
    ({"rate": True}, "must be of the type"),
    ({"other": 1}, "'other' is not set to a plain literal"),
])  # fmt: skip
def test_wrong_parameters_are_refused(notebook: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(GfmError, match=message):
        check_parameters(notebook, given)


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
