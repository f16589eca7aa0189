"""The book's chapters, records of their execution, and its pages, built when their sources have changed."""

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
from gfm_utils.book.front_page import (
    Evidence,
    front_page_claims,
    front_page_hero,
    front_page_numbers,
    verdicts_and_measures,
)
from gfm_utils.book.pages import page_cells, write_scripts
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

    @staticmethod
    def files(out: Path, name: str) -> tuple[Path, Path, Path]:
        """Of a chapter in a build folder: this record, the executed notebook and the result table."""
        return (
            out / "done" / f"{name}.json",
            out / "executed" / f"{name}.ipynb",
            out / "results" / f"{name}.parquet",
        )

    @classmethod
    def read(cls, out: Path, name: str) -> "Record | None":
        """The record of a chapter's last execution, or None without one (or with one of another format)."""
        try:
            return cls(**json.loads(cls.files(out, name)[0].read_text(encoding="utf-8")))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    def is_current(self, key: str, out: Path) -> bool:
        """Whether nothing that it depends on has changed and both of its files are as they were written."""
        files = zip(self.files(out, self.name)[1:], (self.notebook_sha256, self.results_sha256), strict=True)
        return self.key == key and all(path.is_file() and sha256_of(path) == sha for path, sha in files)

    def about(self, conditions: Sequence[str]) -> dict[str, Any]:
        """Where the table of a chapter comes from, as ``provenance.record`` has it of recorded ones."""
        named = [] if tuple(conditions) == DEFAULT_CONDITIONS else [f" --condition {name}" for name in conditions]
        return {
            "command": f"gfm build --profile {self.profile}{''.join(named)}", "commit": self.commit,
            "date": self.date, "device": self.device, "versions": self.versions,
            "configuration": {"recipe": profile_named(self.profile).model_dump()},
        }  # fmt: skip


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
    """Name -> notebook of the chapters in the table of contents, in order; only of ``names`` if they are given.

    Raises:
        GfmError: a name is not that of a chapter, or the table of contents is at fault.
    """
    paths = [Path(root) / f"{entry}.ipynb" for entry in toc_entries(root)]
    chapters = {path.stem: path for path in paths if path.is_file()}
    for name in names or ():
        if name not in chapters:
            raise unknown("chapter", name, chapters)
    return {name: path for name, path in chapters.items() if names is None or name in names}


def run_table(records: Collection[Record], notes: Sequence[str] = ()) -> str:
    """Markdown table of a run: what was executed, how long it took, on what, when and with which versions.

    Below it are ``notes``, how the profile was fitted to the corpora.
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


def shortened(text: str, conditions: Sequence[str]) -> str:
    """A text in which the corpora of conditions have names that fit beside a chart (``short_corpora``)."""
    short = short_corpora(corpora_of(conditions))
    for corpus in sorted(short, key=len, reverse=True):
        text = text.replace(corpus, short[corpus])
    return text


def build_pages(
    root: Path,
    out: Path,
    chapters: Mapping[str, Path],
    records: Mapping[str, Record],
    notes: Sequence[str],
    conditions: Sequence[str],
) -> tuple[Path, bool]:
    """Build the pages into ``out/html`` unless they are up to date; the front page, and whether any were built.

    ``chapters`` and ``records`` are by the name of a chapter; ``notes`` say how the profile was fitted to the
    corpora of ``conditions``, whose files pages name without their folders.

    Raises:
        GfmError: Sphinx gave an error or a warning; the pages of the last good build stay.
    """
    entries = toc_entries(root)
    with atomic(out / "src") as tree:
        shutil.copytree(root / "assets", tree / "assets")
        write_scripts(tree / "assets")
        for name in ("_config.yml", "_toc.yml", "references.bib"):
            shutil.copyfile(root / name, tree / name)
        for name, text in _texts(root, tree, out, entries, records, notes, conditions).items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text, encoding="utf-8")
        for name, path in chapters.items():
            target = tree / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_for_readers(Record.files(out, name)[1], target, conditions)

    source, index, mark = out / "src", out / "html" / "index.html", out / "done" / "pages.sha256"
    inputs = {str(path.relative_to(source)): sha256_of(path) for path in source.rglob("*") if path.is_file()}
    code = [sha256_once(path) for path in sorted(Path(gfm_utils.__file__).parent.rglob("*.py"))]
    key = digest([inputs, code, environment_versions()], length=64)
    there = [index, *(out / "html" / f"{entry}.html" for entry in entries)]
    if mark.is_file() and mark.read_text() == key and all(page.is_file() for page in there):
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


def _texts(
    root: Path,
    tree: Path,
    out: Path,
    entries: Sequence[str],
    records: Mapping[str, Record],
    notes: Sequence[str],
    conditions: Sequence[str],
) -> dict[str, str]:
    """The pages that are Markdown, and the parts that they include, by the names of their files."""
    texts = {f"{one}.md": path.read_text("utf-8") for one in entries if (path := root / f"{one}.md").is_file()}
    profiles, front = {record.profile for record in records.values()}, f"{entries[0]}.md"
    evidence = Evidence.read(out / "results", profiles)
    if "{{ " in texts[front]:  # of what has no number Sphinx complains
        for name, value in front_page_numbers(evidence).items():
            texts[front] = texts[front].replace(f"{{{{ {name} }}}}", value)
    if _CARD in texts[front]:
        title = next(line for line in texts[front].splitlines() if line.startswith("# "))
        write_card(recorded_doses()[0], title.removeprefix("# "), tree / "assets" / _CARD)
    about = {name: record.about(conditions) for name, record in records.items()}
    parts = {
        "_run_table.md": lambda: run_table(records.values(), notes),
        "_hero.md": front_page_hero,
        "_claims.md": lambda: front_page_claims(evidence),
        "_verdicts.md": lambda: verdicts_and_measures(evidence),
        "_traces.md": lambda: traces_page(evidence, out / "results", about),
    }
    made = {name: part() for name, part in parts.items() if any(name in text for text in texts.values())}
    for script in sorted((root / "pages").glob("*.py")):  # what pages say of the code, read from it
        made[f"_{script.stem}.md"] = runpy.run_path(str(script))["page"](root)
    return texts | {name: shortened(text, conditions) for name, text in made.items()}


def _copy_for_readers(notebook: Path, target: Path, conditions: Sequence[str]) -> None:
    """Copy an executed notebook as ``page_cells`` has it, corpora under their short names in what cells show."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    page_cells(content)
    for cell in content["cells"]:
        if cell.get("outputs"):
            cell["outputs"] = json.loads(shortened(json.dumps(cell["outputs"], ensure_ascii=False), conditions))
    target.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _jupyter_book(source: Path, work: Path, log: Path) -> None:
    """Run Jupyter Book on ``source``, every warning being an error; its output goes to ``log``."""
    shutil.rmtree(work, ignore_errors=True)
    options = ["--path-output", str(work), "--all", "-W", "-n", "--keep-going", "-q"]
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", str(source), *options]
    plain = {**os.environ, "NO_COLOR": "1"}
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False, env=plain)
    if done.returncode:
        lines = log.read_text(encoding="utf-8").splitlines()
        complaints = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-5:]
        shown = "; ".join(complaints[:8]).replace(f"{source}/", "")
        raise GfmError(f"the pages were not built: {shown} (all: {log})")
