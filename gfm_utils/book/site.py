"""The book's chapters, what stands of each, and its pages: Sphinx's source tree, built when it has changed."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx_external_toc.parsing import parse_toc_yaml

import gfm_utils
from gfm_utils.book import offline
from gfm_utils.book.front_page import (
    at_a_glance,
    front_page_claims,
    front_page_hero,
    front_page_numbers,
    verdicts_and_measures,
)
from gfm_utils.book.pages import page_cells
from gfm_utils.book.why import traces_page
from gfm_utils.claims import recorded_doses
from gfm_utils.errors import GfmError, unknown
from gfm_utils.figures.comparison import short_corpora
from gfm_utils.figures.hero import write_card
from gfm_utils.figures.summary_table import markdown_table
from gfm_utils.files import atomic, digest, sha256_of, sha256_once
from gfm_utils.profiles import DEFAULT_CONDITIONS
from gfm_utils.profiles import profile as profile_named
from gfm_utils.provenance import environment_versions
from gfm_utils.tokens import corpora_of

#: The picture of links to the book.
_CARD = "card.png"
#: Draws the theme's icons a second time, above those of its fonts, from 1.5 MB that every page would load.
_ICONS = "_static/scripts/fontawesome.js"
_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"


@dataclass(frozen=True)
class Record:
    """The outcome of one execution of a chapter."""

    name: str
    key: str  # hash of all that it depends on
    seconds: float
    profile: str
    device: str  # "cpu" or the name of the GPU
    date: str  # UTC, ISO 8601 to the minute
    commit: str  # of the book's repository, "+" when files differed from it
    versions: dict[str, str]
    notebook_sha256: str
    results_sha256: str

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        """The record of a chapter's last execution, or None without one (or with one of another format)."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    def stands(self, key: str, notebook: Path, results: Path) -> bool:
        """Whether nothing that it depends on has changed and both of its files are as they were written."""
        files = ((notebook, self.notebook_sha256), (results, self.results_sha256))
        return self.key == key and all(path.is_file() and sha256_of(path) == sha for path, sha in files)


def toc_entries(root: Path) -> list[str]:
    """Every page that ``_toc.yml`` lists, in order, as paths without extension (``chapters/corpora``).

    Raises:
        GfmError: there is no ``_toc.yml``, or it lists a page for which there is no file.
    """
    path = Path(root) / "_toc.yml"
    if not path.is_file():
        raise GfmError(f"no _toc.yml in {Path(root).resolve()}; run this in the root of the book's repository")
    entries = list(parse_toc_yaml(path))
    for entry in entries:
        if not any((Path(root) / f"{entry}{suffix}").is_file() for suffix in (".md", ".ipynb")):
            raise GfmError(f"_toc.yml lists {entry!r}, but there is neither {entry}.md nor {entry}.ipynb")
    return entries


def chapter_paths(root: Path, names: Sequence[str] | None = None) -> dict[str, Path]:
    """The notebooks of the table of contents: name of the chapter -> path of its notebook, in order.

    Args:
        root: the book's repository.
        names: only these chapters; None: all.

    Raises:
        GfmError: a name is not that of a chapter, or the table of contents is at fault.
    """
    paths = [Path(root) / f"{entry}.ipynb" for entry in toc_entries(root)]
    chapters = {path.stem: path for path in paths if path.is_file()}
    for name in names or ():
        if name not in chapters:
            raise unknown("chapter", name, chapters)
    return {name: path for name, path in chapters.items() if names is None or name in names}


def executed(out: Path, name: str) -> Path:
    """Path of a chapter's executed notebook."""
    return out / "executed" / f"{name}.ipynb"


def record_path(out: Path, name: str) -> Path:
    """Path of the record of a chapter's last execution."""
    return out / "done" / f"{name}.json"


def run_table(records: Collection[Record], notes: Sequence[str] = ()) -> str:
    """Markdown table of a run: what was executed, how long it took, on what, when and with which versions.

    Args:
        records: of the chapters.
        notes: how the profile was fitted to the corpora; a list below the table.
    """
    heads = ["Chapter", "Profile", "Device", "Date (UTC)", "Commit", "Seconds"]
    rows = [
        [one.name, one.profile, one.device, one.date.replace("T", " ").removesuffix("+00:00"), one.commit,
         f"{one.seconds:.1f}"]
        for one in records
    ]  # fmt: skip
    versions = dict.fromkeys(", ".join(map(" ".join, one.versions.items())) for one in records)
    lines = [markdown_table(heads, rows, names=5), "", f"Versions: {'; '.join(versions)}."]
    if notes:
        lines += ["", "The profile was fitted to the corpora:", "", *(f"- {note}." for note in notes)]
    return "\n".join(lines) + "\n"


def _about(record: Record, conditions: Sequence[str]) -> dict[str, Any]:
    """Where a table of this run comes from, as ``provenance.record`` has it of recorded ones."""
    named = [] if tuple(conditions) == DEFAULT_CONDITIONS else [f" --condition {name}" for name in conditions]
    return {
        "command": f"gfm build --profile {record.profile}{''.join(named)}", "commit": record.commit,
        "date": record.date, "device": record.device, "versions": record.versions,
        "configuration": {"recipe": profile_named(record.profile).model_dump()},
    }  # fmt: skip


def filled(text: str, numbers: Mapping[str, str]) -> str:
    """The text of a page with what stands for each ``{{ name }}``; of other names Sphinx complains."""
    for name, value in numbers.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def shortened(text: str, conditions: Sequence[str]) -> str:
    """A text in which the corpora of conditions have names that fit beside a chart (``short_corpora``)."""
    short = short_corpora(corpora_of(conditions))
    for corpus in sorted(short, key=len, reverse=True):
        text = text.replace(corpus, short[corpus])
    return text


def _copy_for_readers(notebook: Path, target: Path, conditions: Sequence[str]) -> None:
    """Copy an executed notebook as ``page_cells`` has it, corpora under their short names in what cells show."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    page_cells(content)
    for cell in content["cells"]:
        if cell.get("outputs"):
            cell["outputs"] = json.loads(shortened(json.dumps(cell["outputs"], ensure_ascii=False), conditions))
    target.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def build_pages(
    root: Path,
    out: Path,
    chapters: Mapping[str, Path],
    records: Mapping[str, Record],
    notes: Sequence[str] = (),
    conditions: Sequence[str] = (),
) -> tuple[Path, bool]:
    """Build the pages into ``out/html`` unless they are up to date.

    Args:
        root: the book's repository.
        out: the build folder, with the executed notebooks and the result tables.
        chapters: name -> path of the source notebook, in order.
        records: name -> record of its last execution.
        notes: how the profile was fitted to the corpora.
        conditions: of the run; pages name files without their folders.

    Returns:
        Path of the front page, and whether anything was built.

    Raises:
        GfmError: Sphinx gave an error or a warning; the pages of the last good build stay.
    """
    entries, profiles = toc_entries(root), {record.profile for record in records.values()}
    with atomic(out / "src") as tree:
        parts = {
            "run_table": lambda: run_table(records.values(), notes),
            "hero": front_page_hero,
            "claims": lambda: front_page_claims(out / "results", profiles),
            "verdicts": lambda: verdicts_and_measures(out / "results", profiles),
            "at_a_glance": lambda: at_a_glance(out / "results"),
            "traces": lambda: traces_page(
                out / "results", {name: _about(record, conditions) for name, record in records.items()}
            ),
        }
        written = [path.read_text("utf-8") for entry in entries if (path := root / f"{entry}.md").is_file()]
        texts = {name: part() for name, part in parts.items() if any(f"_{name}.md" in text for text in written)}
        for script in sorted((root / "pages").glob("*.py")):  # what pages say of the code, read from it
            texts[script.stem] = runpy.run_path(str(script))["page"](root)
        shutil.copytree(root / "assets", tree / "assets")
        offline.write_scripts(tree / "assets")
        for name in ("_config.yml", "_toc.yml", "references.bib", *(f"{entry}.md" for entry in entries)):
            if (root / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, tree / name)
        front = tree / f"{entries[0]}.md"
        text = front.read_text(encoding="utf-8")
        if "{{ " in text:
            front.write_text(filled(text, front_page_numbers(out / "results", profiles)), encoding="utf-8")
        if _CARD in text:
            title = next(line for line in text.splitlines() if line.startswith("# "))
            write_card(recorded_doses()[0], title.removeprefix("# "), tree / "assets" / _CARD)
        for name, path in chapters.items():
            target = tree / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_for_readers(executed(out, name), target, conditions)
        for name, text in texts.items():
            (tree / f"_{name}.md").write_text(shortened(text, conditions), encoding="utf-8")

    source, index, mark = out / "src", out / "html" / "index.html", out / "done" / "pages.sha256"
    inputs = {str(path.relative_to(source)): sha256_of(path) for path in source.rglob("*") if path.is_file()}
    code = [sha256_once(path) for path in sorted(Path(gfm_utils.__file__).parent.rglob("*.py"))]
    key = digest([inputs, code, environment_versions()], length=64)
    there = [out / "html" / f"{entry}.html" for entry in entries]
    if mark.is_file() and mark.read_text() == key and all(page.is_file() for page in (index, *there)):
        return index, False
    _jupyter_book(source, out / "work" / "pages", out / "pages.log")
    built = out / "work" / "pages" / "_build" / "html"
    if (built / _ICONS).is_file():
        (built / _ICONS).write_bytes(b"")
    with atomic(out / "html") as temporary:
        shutil.move(built, temporary)
    with atomic(mark) as temporary:
        temporary.write_text(key)
    return index, True


def _jupyter_book(source: Path, work: Path, log: Path) -> None:
    """Run Jupyter Book on ``source``, every warning being an error; its output goes to ``log``."""
    shutil.rmtree(work, ignore_errors=True)
    options = ["--path-output", str(work), "--all", "-W", "-n", "--keep-going", "-q"]
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", str(source), *options]
    plain = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=plain
    )
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        lines = done.stdout.splitlines()
        complaints = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-5:]
        raise GfmError(
            "the pages were not built: "
            + "; ".join(line.replace(f"{source}/", "") for line in complaints[:8])
            + f" (all: {log})"
        )
