"""What the verbs of ``gfm`` share: their options, rows on the screen, and the record of a run."""

import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from gfm_utils import provenance
from gfm_utils.errors import GfmError
from gfm_utils.files import check_writable, sha256_of
from gfm_utils.profiles import Profile as Size
from gfm_utils.tables import to_rows

_SOURCES = (
    "Names of the registry, or paths or addresses of FASTA, text or tables (table.csv:column; ?kind=dna, text or "
    "protein behind it says what it holds)."
)
_TOKENIZED = f"{_SOURCES} Without a tokenizer they get one that fits their size. Or a YAML list of them."
Json = Annotated[bool, Option("--json", help="Print rows as JSON; nothing else on standard output.")]
Profile = Annotated[str, Option(help="smoke, quick, atlas, long, colab, gpu or paper.")]
Runs = Annotated[Path, Option(help="Folder of token arrays and ensembles.")]
Root = Annotated[Path, Option(help="The book's repository.")]
BookRuns = Annotated[Path | None, Option(help="Folder of ensembles; default: runs/ of the repository.")]
Seed = Annotated[int, Option(help="Seed of splits, order of windows, masks and samples.")]
Out = Annotated[Path | None, Option(help="Folder that receives the tables (Parquet) and their provenance.")]
Record = Annotated[Path | None, Option(help="Record table and provenance there, too (data/results/NAME).")]
Engine = Annotated[str, Option(help="local: this machine; ray: the cluster at RAY_ADDRESS, else this machine.")]
DryRun = Annotated[bool, Option("--dry-run", help="Train nothing: time, memory, disk and device-hours it takes.")]
Corpora = Annotated[list[str], Argument(metavar="CORPUS...", help=_SOURCES)]
Reports = Annotated[list[str], Argument(metavar="CORPUS[@TOK]...", help=_TOKENIZED)]
Conditions = Annotated[list[str], Argument(help="corpus@tokenizer, e.g. tair10-chr1@kmer4 or genome.fa@bpe512.")]


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, columns: str = "") -> None:
    """Print rows: all of them as JSON, or the chosen columns (none: all of the first row) as a table."""
    if as_json:
        json.dump([dict(row) for row in rows], sys.stdout, indent=2, default=str)
        print()
        return
    names = columns.split() or list(rows[0])
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def command() -> str:
    """The command as it was typed, without the folder it was found in."""
    return shlex.join(["gfm", *sys.argv[1:]])


def check_alone(corpora: Sequence[str], why: str) -> None:
    """Refuse a tokenizer behind a corpus; one that does not exist is refused as such."""
    from gfm_utils.tokens import Condition, names_tokenizer

    for name in corpora:
        if names_tokenizer(name) and not Path(name).exists():
            Condition.parse(name)
            raise GfmError(f"{name}: {why}; give the corpus alone")


def recorder(out: Path | None, *others: Path | None) -> Callable[..., None]:
    """Records tables in ``out``, if it is given, with what they were made with; all folders are tried at once."""
    for folder in filter(None, (out, *others)):
        check_writable(folder)
    began = time.perf_counter()

    def record(tables: pd.DataFrame | Mapping[str, pd.DataFrame], **configuration: Any) -> None:
        if out is not None:
            provenance.record(tables, out, command(), configuration, time.perf_counter() - began)

    return record


def about_file(path: Path | None) -> dict[str, str] | None:
    """A file as provenance names it."""
    return None if path is None else {"file": path.name, "sha256": sha256_of(path)}


def show_costs(conditions: Sequence[str], size: Size, runs: Path, seed: int, as_json: bool, *more: Any) -> None:
    """Print what the training of some conditions will take; ``more``: members and devices, if they are given."""
    from gfm_utils.claims.paper import cost_overview, cost_table
    from gfm_utils.ensembles import expected_costs

    costs = expected_costs(conditions, size, runs, seed, *more)
    show(to_rows(cost_table(costs)) if as_json else cost_overview(costs), as_json)
