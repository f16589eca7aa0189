"""pyproject.toml, constraints.txt and environment.yml say the same; every chapter installs from one source."""

import re
import tomllib
from pathlib import Path

import jupytext
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import gfm_utils

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
#: What the issue promises to support at the least.
OLDEST = {"torch": "2.10", "transformers": "5.0"}


def pinned() -> dict[str, Version]:
    """Package -> its version in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def required(extras: tuple[str, ...] = ("dev", "cluster", "hub")) -> list[Requirement]:
    """What pyproject.toml asks for, with what ``make`` installs beside it."""
    optional = [text for name in extras for text in PROJECT["optional-dependencies"][name]]
    found = [Requirement(text) for text in (*PROJECT["dependencies"], *optional)]
    return [one for one in found if canonicalize_name(one.name) != "gfm-utils"]


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    versions = pinned()
    for requirement in required():
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} excludes {version} of constraints.txt"


def test_the_oldest_supported_versions_are_those_that_pyproject_names() -> None:
    by_name = {requirement.name: requirement.specifier for requirement in required()}
    for name, oldest in OLDEST.items():
        assert by_name[name] == SpecifierSet(f">={oldest}")
        assert f"\n{name.upper()} ?= {oldest}.0\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_conda_makes_the_same_environment() -> None:
    """The Python of the constraints, which pyproject.toml supports, and pip with the same two files."""
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (python,) = [one.partition("=")[2] for one in conda if isinstance(one, str) and one.startswith("python=")]
    (pip,) = [one["pip"] for one in conda if isinstance(one, dict)]
    assert pip == ["-c constraints.txt", "-e .[dev]"]
    assert "-c constraints.txt -e '.[dev]'" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])
    said = re.search(r"for Python (3\.\d+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert said is not None and said[1] == python


def test_every_chapter_installs_the_package_from_the_books_repository() -> None:
    """The first code cells are one and the same; they leave a torch of the right version as it is."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    chapters = [jupytext.read(path).cells for path in (ROOT / "chapters").glob("*.ipynb")]
    (source,) = {next(cell.source for cell in cells if cell.cell_type == "code") for cells in chapters}
    assert re.findall(r'%pip install -q "gfm_utils @ git\+(\S+)"', source) == [config["repository"]["url"]]
    assert "--upgrade" not in source and "-U" not in source
    assert config["launch_buttons"]["colab_url"] == "https://colab.research.google.com"


def test_a_release_is_called_the_same_everywhere_and_has_one_address() -> None:
    """Citation, change log, package, and whatever names the book's repository."""
    config, cited = (
        yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) for name in ("_config.yml", "CITATION.cff")
    )
    released = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited["version"] == released[0] == gfm_utils.__version__
    assert (cited["title"], cited["license"]) == (config["title"], PROJECT["license"])
    assert [one["name"] for one in cited["authors"]] == [config["author"]]
    address = config["repository"]["url"]
    assert cited["repository-code"] == PROJECT["urls"]["Source"] == address
    patterns = "*.md", "*.yml", "*.toml", "*.cff", "chapters/*.py", "gfm_utils/**/*.py", "tests/test_colab.py"
    texts = "\n".join(path.read_text(encoding="utf-8") for pattern in patterns for path in ROOT.glob(pattern))
    assert set(re.findall(r"https://github\.com/[\w-]*gfm[\w-]*/[\w-]+", texts)) == {address}


def test_the_wheel_holds_every_recorded_run_and_the_registry() -> None:
    """A chapter on Colab has nothing but the wheel: no folder ``data`` beside it."""
    given = SETUPTOOLS["data-files"]
    assert given["share/gfm_utils"] == ["data/corpora.yaml", "data/atlas.yaml"]
    # What benchmarks/gpu.py has just written, folders in a folder, is recorded once it stands beside these.
    tables = (ROOT / "data" / "results").glob("*/*.parquet")
    for name in {path.parent.name for path in tables}:
        assert given[f"share/gfm_utils/results/{name}"] == [f"data/results/{name}/*"]
