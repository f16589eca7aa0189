"""The ``gfm`` command: thin; every verb takes ``--json`` for machines."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gfm_utils import corpora as corpora_
from gfm_utils.errors import GfmError
from gfm_utils.profiles import profile as profile_named
from gfm_utils.tables import to_rows

app = typer.Typer(
    help="Entropy, disagreement and the limits of genomic foundation models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print rows as JSON; nothing else on standard output.")]
Profile = Annotated[str, typer.Option(help="smoke, quick, colab, gpu or paper.")]
Runs = Annotated[Path, typer.Option(help="Folder of token arrays and ensembles.")]
Seed = Annotated[int, typer.Option(help="Seed of splits, order of windows and masks.")]
Conditions = Annotated[list[str], typer.Argument(help="corpus@tokenizer, e.g. tair10-chr1@kmer4")]


def _show(rows: Sequence[Mapping[str, Any]], as_json: bool, columns: Sequence[str]) -> None:
    """Print rows: all of them as JSON, or the chosen columns as a table for people."""
    if as_json:
        json.dump([dict(row) for row in rows], sys.stdout, indent=2, default=str)
        print()
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


@app.command()
def corpora(json: Json = False) -> None:
    """List the registry: kind, size, licence, and what is cached."""
    _show(corpora_.status(), json, ("name", "kind", "cached", "description", "licence"))


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Corpora of the registry.")], json: Json = False
) -> None:
    """Download corpora and verify their checksums."""
    rows = [{"name": name, "path": str(corpora_.fetch(name))} for name in names]
    _show(rows, json, ("name", "path"))


@app.command()
def entropy(
    corpus: Annotated[str, typer.Argument(help="Corpus of the registry, or a path.")],
    tokenizer: Annotated[str | None, typer.Option(help="Also per token, e.g. kmer6 or bpe4096.")] = None,
    profile: Profile = "quick",
    runs: Runs = Path("runs"),
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """Estimate the entropy of a corpus, per base or character (and per token)."""
    from gfm_utils.analyses import entropy_table
    from gfm_utils.tokens import load_corpus, prepare

    size = profile_named(profile)
    found = load_corpus(corpus, size)
    stores = [] if tokenizer is None else [prepare(f"{corpus}@{tokenizer}", size, runs, seed)]
    rows = to_rows(entropy_table([found], stores, size))
    columns = ("condition", "metric", "estimator", "order", "value", "se", "unit", "kind", "trusted")
    _show(rows, json, columns)


@app.command()
def train(
    conditions: Conditions,
    profile: Profile = "quick",
    members: Annotated[int | None, typer.Option(min=1, help="Members, instead of the profile's number.")] = None,
    runs: Runs = Path("runs"),
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """Train the ensembles of some conditions; what is already trained is left alone."""
    from gfm_utils.analyses.learning import learning_curves
    from gfm_utils.ensembles import train_ensembles

    ensembles = train_ensembles(conditions, profile, runs, seed, members)
    if json:
        _show(to_rows(learning_curves(ensembles)), True, ())
        return
    rows = [
        {
            "condition": ensemble.condition, "seed": member.seed, "path": str(member.path),
            "validation_nll": float(member.metrics["validation_loss"].iloc[-1]),
        }
        for ensemble in ensembles
        for member in ensemble.members
    ]  # fmt: skip
    _show(rows, False, ("condition", "seed", "validation_nll", "path"))


@app.command()
def build(
    profile: Profile = "quick",
    condition: Annotated[
        list[str] | None,
        typer.Option(help="corpus@tokenizer; repeat for several. Default: the book's three."),
    ] = None,
    chapter: Annotated[list[str] | None, typer.Option(help="Execute only this chapter; repeatable.")] = None,
    root: Annotated[Path, typer.Option(help="The book's repository.")] = Path(),
    out: Annotated[Path, typer.Option(help="Folder for all that the build makes.")] = Path("_build"),
    runs: Annotated[
        Path | None, typer.Option(help="Folder of ensembles; default: runs/ of the repository.")
    ] = None,
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """Execute the chapters that need it and build the pages."""
    from gfm_utils.book import build as build_book
    from gfm_utils.book import check_corpora
    from gfm_utils.book.notebooks import chapter_paths

    chapter_paths(root, chapter)  # a wrong name is refused before any work
    check_corpora(profile, condition, root, runs, seed)
    report = build_book(profile, condition, root, out, runs, seed, chapter)
    _show(report.rows(), json, ("profile", "seconds", "html", "results"))


def main() -> None:
    """Entry point: an error that the user can mend is one sentence and exit status 1."""
    try:
        app()
    except GfmError as error:
        print(f"gfm: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
