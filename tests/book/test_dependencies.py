"""What of the code, the packages and the recorded results is in the key of a chapter."""

from pathlib import Path

import nbformat
import pytest
import toybook

import gfm_utils
from gfm_utils import analyses
from gfm_utils.analyses import effects
from gfm_utils.book import cache
from gfm_utils.book.dependencies import Reached, reached
from gfm_utils.book.notebooks import chapter_paths, python_of
from gfm_utils.files import write_json
from gfm_utils.tables import DEFINITIONS

PACKAGE = Path(gfm_utils.__file__).parent
FILES = {
    "__init__.py": '"""Top."""\n__version__ = "1"\n',
    "used.py": '"""Doc."""\nfrom pack.parts import deep\n\n\ndef f(x):\n    """Doc."""\n    return deep(x)\n',
    "other.py": "import numpy\n\n\ndef g(x):\n    return x\n",
    "lazy.py": "def h(x):\n    return x\n",
    "parts/__init__.py": (
        '"""Parts."""\nfrom pack.parts.deep import deep\nfrom pack.parts.unused import unused\n\n'
        '__all__ = ["deep", "unused"]\n'
    ),
    "parts/deep.py": "def deep(x):\n    from pack import lazy\n\n    return lazy.h(x)\n",
    "parts/unused.py": "def unused(x):\n    return x\n",
}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / "pack" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "pack" / name).write_text(text)
    return tmp_path / "pack"


def found(pack: Path, *cells: str) -> Reached:
    from gfm_utils.book import dependencies

    dependencies._read.cache_clear()
    return reached(cells, pack)


@pytest.mark.parametrize(
    "cell",
    [
        "from pack.used import f\nf(1)", "import pack.used\npack.used.f(1)", "import pack.used as u\nu.f(1)",
        "from pack import used\nused.f(1)", "from pack import used as u\nu.f(1)",
        "def late():\n    return used.f(1)\nfrom pack import used", "from pack.used import *",
    ],
)  # fmt: skip
def test_imports_are_followed_to_the_modules_that_define_the_names(pack: Path, cell: str) -> None:
    modules = {name for name in found(pack, cell).code if " " not in name}
    assert modules == {"pack", "pack.used", "pack.parts", "pack.parts.deep", "pack.lazy"}


@pytest.mark.parametrize(
    "cell", ["import pack.parts", "from pack import parts\nx = parts", "from pack.parts import *"]
)
def test_a_package_that_is_taken_as_a_whole_counts_as_a_whole(pack: Path, cell: str) -> None:
    assert {"pack.parts.deep", "pack.parts.unused"} <= set(found(pack, cell).code)


@pytest.mark.parametrize(
    ("name", "old", "new", "changes"),
    [
        ("used.py", "return deep(x)", "return deep(x)  # why", False),
        ("used.py", '    """Doc."""\n', "", False),
        ("used.py", '"""Doc."""', '"""Another."""', False),
        ("used.py", "return deep(x)", "return deep(x + 1)", True),
        ("lazy.py", "return x", "return -x", True),
        ("other.py", "return x", "return -x", False),
        ("parts/unused.py", "return x", "return -x", False),
        ("parts/__init__.py", '"deep", ', "", False),
        ("parts/__init__.py", "from pack.parts.deep", "from pack.parts.unused", True),
        ("__init__.py", '"1"', '"2"', True),
    ],
)
def test_what_changes_the_code_of_a_chapter(pack: Path, name: str, old: str, new: str, changes: bool) -> None:
    cell = "from pack.used import f\nf(1)"
    before = found(pack, cell).code
    text = (pack / name).read_text()
    assert old in text
    (pack / name).write_text(text.replace(old, new, 1))
    assert (found(pack, cell).code != before) is changes


def test_packages_count_with_what_they_require_where_they_are_imported(pack: Path) -> None:
    assert found(pack, "from pack.used import f\nf(1)").distributions == {}
    assert set(found(pack, "from pack.other import g\ng(1)").distributions) == {"numpy"}
    versions = found(pack, "import pandas").distributions
    assert {"pandas", "numpy", "python-dateutil"} <= set(versions) and "ruff" not in versions


def of_chapter(name: str) -> Reached:
    cells = nbformat.read(chapter_paths(toybook.REPOSITORY)[name], as_version=4).cells
    return reached([python_of(cell.source) for cell in cells if cell.cell_type == "code"], PACKAGE)


@pytest.mark.parametrize(
    ("name", "uses", "not_of_it"),
    [
        ("fisher", ("analyses.fisher.exact", "ensembles.training"), ("entropy.nsb", "figures.output")),
        ("entropy", ("entropy.nsb", "corpora.cleaning"), ("analyses.fisher.exact", "figures.fisher")),
        ("corpora", ("corpora.leaks", "tokens.tokenizers"), ("analyses.strands", "book.site", "cli")),
    ],
)  # fmt: skip
def test_chapters_of_the_book(name: str, uses: tuple[str, ...], not_of_it: tuple[str, ...]) -> None:
    modules = set(of_chapter(name).code)
    assert {f"gfm_utils.{module}" for module in uses} <= modules
    assert not {f"gfm_utils.{module}" for module in not_of_it} & modules
    assert {"torch", "numpy", "transformers"} <= set(of_chapter(name).distributions)


def test_recorded_results_count_where_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("entropy", "calibration", "dose-response", "along-training", "long", "gpu-speed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.parquet").touch()
        made = {"profile": name, "chapters": []} if name == "long" else {"profile": name}
        write_json(tmp_path / name / "provenance.json", {"configuration": made, "definitions": DEFINITIONS})

    def read(chapter: str) -> set[str]:
        return {path.parent.name for path in cache._results_read(of_chapter(chapter).sources, tmp_path)}

    assert read("corpora") == set()
    assert read("entropy") == {"entropy", "calibration"}
    assert read("causal") >= {"dose-response"}
    assert read("fisher") == {"long"}
    assert read("training") == {"along-training"}
    asked = []
    monkeypatch.setattr(effects, "recorded", lambda name: asked.append(name) or effects.pd.DataFrame())
    with pytest.raises((ValueError, KeyError)):
        analyses.recorded_doses()
    assert set(asked) <= {word for source in of_chapter("causal").sources for word in source.words}
