"""The ``gfm`` command: thin; every verb takes ``--json`` for machines."""

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from gfm_utils import corpora as corpora_
from gfm_utils import provenance
from gfm_utils.errors import GfmError, sentence_of, unknown
from gfm_utils.files import check_writable, sha256_of
from gfm_utils.profiles import Profile as Size
from gfm_utils.profiles import profile as profile_named
from gfm_utils.tables import COLUMNS, read_tables, to_rows

app = typer.Typer(
    help="Entropy, disagreement and the limits of genomic foundation models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print rows as JSON; nothing else on standard output.")]
Profile = Annotated[str, typer.Option(help="smoke, quick, atlas, long, colab, gpu or paper.")]
Runs = Annotated[Path, typer.Option(help="Folder of token arrays and ensembles.")]
Root = Annotated[Path, typer.Option(help="The book's repository.")]
BookRuns = Annotated[Path | None, typer.Option(help="Folder of ensembles; default: runs/ of the repository.")]
Seed = Annotated[int, typer.Option(help="Seed of splits, order of windows and masks.")]
Out = Annotated[Path | None, typer.Option(help="Folder that receives the rows (Parquet) and their provenance.")]
Conditions = Annotated[
    list[str], typer.Argument(help="corpus@tokenizer, e.g. tair10-chr1@kmer4 or table.csv:gene?kind=dna@kmer4")
]


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


def _check_out(*folders: Path | None) -> None:
    """Refuse a folder that rows cannot be written to, before they are made."""
    for folder in folders:
        if folder is not None:
            check_writable(folder)


def _record(table: pd.DataFrame, out: Path, configuration: Mapping[str, Any], began: float) -> None:
    """Write rows with their provenance."""
    provenance.record(table, out, _command(), configuration, time.perf_counter() - began)


def _command() -> str:
    """The command as it was typed, without the folder it was found in."""
    return shlex.join(["gfm", *sys.argv[1:]])


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
    names: Annotated[list[str], typer.Argument(help="Corpora of the registry, or https:// addresses of files.")],
    json: Json = False,
) -> None:
    """Download corpora and verify their checksums."""
    rows = [{"name": name, "path": str(corpora_.fetch(name))} for name in names]
    _show(rows, json, ("name", "path"))


@app.command()
def entropy(
    corpora: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS...",
            help="Corpora of the registry, or paths or addresses of FASTA, text or tables "
            "(table.csv:column; ?kind=dna, text or protein behind it says what it holds).",
        ),
    ],
    tokenizer: Annotated[str | None, typer.Option(help="Also per token, e.g. kmer6 or bpe4096.")] = None,
    annotation: Annotated[
        Path | None,
        typer.Option(help="GFF3 file of the genome, if just one is given: bits by class of bases."),
    ] = None,
    symbols: Annotated[
        int | None,
        typer.Option(min=0, help="First symbols that every estimator reads; 0: all. Default: the profile's."),
    ] = None,
    profile: Profile = "quick",
    runs: Runs = Path("runs"),
    seed: Seed = 42,
    out: Out = None,
    json: Json = False,
) -> None:
    """Estimate the entropy of corpora: from counts of blocks, from lengths of matches, and by code lengths.

    How much is read depends on the profile: column n says how many blocks or symbols a row rests on.

    Memory: about 40 bytes for each symbol that is read, and up to 1.5 GB of tables.
    """
    from gfm_utils.corpora import read_annotation
    from gfm_utils.figures.entropy import rates
    from gfm_utils.measures import corpus_entropies
    from gfm_utils.tokens import Condition, load_corpus, prepare

    began = time.perf_counter()
    _check_out(out, runs if tokenizer is not None else None)
    size = profile_named(profile)
    if symbols is not None:
        update = {"entropy_symbols": symbols or None, "code_symbols": symbols or None}
        size = size.model_copy(update=update)
    loaded = [load_corpus(corpus, size) for corpus in corpora]
    if annotation is not None and [corpus.kind for corpus in loaded] != ["dna"]:
        raise GfmError("--annotation belongs to one DNA corpus: name just that corpus")
    annotations = None if annotation is None else {loaded[0].name: read_annotation(annotation)}
    stores = [
        prepare(Condition(corpus, tokenizer), size, runs, seed) for corpus in corpora if tokenizer is not None
    ]
    table, _ = corpus_entropies(loaded, stores, size, annotations)
    if out is not None:
        given = {"symbols": symbols, "profile": profile, "tokenizer": tokenizer, "seed": seed}
        read = {corpus.name: {"checksum": corpus.checksum, "symbols": corpus.symbols} for corpus in loaded}
        notes = annotation and {"file": annotation.name, "sha256": sha256_of(annotation)}
        _record(table, out, {"corpora": read, "annotation": notes, **given}, began)
    if not json:
        print(rates(table).to_string(index=False), end="\n\n")
    columns = "condition metric estimator order axis x value se n unit kind trusted"
    _show(to_rows(table), json, columns.split())


@app.command()
def calibrate(
    repeats: Annotated[int, typer.Option(min=1, help="Samples of each source and size.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """How far every entropy estimator is off, on sources whose entropy rate is known exactly.

    Says which numbers of `gfm entropy` to believe at which size; takes about ten minutes.
    """
    from gfm_utils.entropy import calibration

    began = time.perf_counter()
    _check_out(out)
    sources, sizes = calibration.every_source(), calibration.SIZES
    table = calibration.calibrate(sources, sizes, repeats, seed, slow_symbols=sizes[-2], progress=True)
    if out is not None:
        names = [source.name for source in sources]
        _record(table, out, {"sources": names, "sizes": list(sizes), "repeats": repeats, "seed": seed}, began)
    _show(to_rows(table), json, ("condition", "metric", "estimator", "x", "value", "low", "high", "unit"))


@app.command()
def doctor(runs: Runs = Path("runs"), json: Json = False) -> None:
    """Check this machine in under a minute: versions, devices, attention, training, folders.

    A line a check: ok; slow, if it works but not as well as it could; or broken, with what to do. The exit
    status is 1 if training would not work.
    """
    began = time.perf_counter()
    try:
        from gfm_utils.ensembles.doctor import examine
    except (ImportError, OSError) as error:  # a build of torch that is not for this machine
        raise GfmError(f"the packages cannot be loaded ({error}): install them in a fresh environment") from error
    checks = []
    for check in examine(runs):
        checks.append(check)
        if not json:
            print(check, flush=True)
    if json:
        _show([check.row() for check in checks], True, ())
    broken = [check.name for check in checks if check.stops_training]
    if broken:
        raise GfmError(f"training does not work on this machine; broken: {', '.join(broken)}")
    if not json:
        print(f"training works on this machine; checked in {time.perf_counter() - began:.0f} seconds")


def _show_costs(
    conditions: Sequence[str],
    size: Size,
    runs: Path,
    seed: int,
    as_json: bool,
    members: int | None = None,
    devices: int = 1,
) -> None:
    """Print what the training of some conditions will take."""
    from gfm_utils.claims.paper import cost_overview, cost_table
    from gfm_utils.ensembles import expected_costs

    costs = expected_costs(conditions, size, runs, seed, members, devices)
    overview = cost_overview(costs)
    _show(to_rows(cost_table(costs)) if as_json else overview, as_json, tuple(overview[0]))


@app.command()
def train(
    conditions: Conditions,
    profile: Profile = "quick",
    members: Annotated[int | None, typer.Option(min=1, help="Members, instead of the profile's number.")] = None,
    vary: Annotated[
        str | None, typer.Option(help="What members differ by: init, order, masks, init+masks or all.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps a member, instead of the profile's.")] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens a member reads, instead of a number of steps.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Architecture and size, instead of the profile's, e.g. bert-4m.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local: this machine; ray: the Ray cluster at RAY_ADDRESS, else this machine.")
    ] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing: expected time, memory, disk and device-hours.")
    ] = False,
    devices: Annotated[
        int, typer.Option(min=1, help="With --dry-run: also the time on so many devices like this one.")
    ] = 1,
    runs: Runs = Path("runs"),
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """Train the ensembles of some conditions.

    What is already trained is left alone, and what an earlier run left unfinished continues where it was.
    """
    from gfm_utils.claims.learning import learning_curves
    from gfm_utils.ensembles import engine_named, train_ensembles

    engine_named(engine)  # a wrong name is refused before any work, and by a dry run, which measures this machine
    size = profile_named(profile).changed(vary, steps, tokens, preset)
    if dry_run:
        _show_costs(conditions, size, runs, seed, json, members, devices)
        return
    ensembles = train_ensembles(conditions, size, runs, seed, members, engine=engine)
    if json:
        _show(to_rows(learning_curves(ensembles)), True, ())
        return
    rows = [
        {
            "condition": ensemble.condition, "seed": member.seed, "path": str(member.path),
            "validation_nll": member.validation_loss,
        }
        for ensemble in ensembles
        for member in ensemble.members
    ]  # fmt: skip
    _show(rows, False, ("condition", "seed", "validation_nll", "path"))


@app.command()
def analyse(
    models: Annotated[
        list[str],
        typer.Argument(metavar="DIR|MODEL...", help="Checkpoints, a directory of members, or names of the hub."),
    ],
    corpus: Annotated[
        str | None, typer.Option(help="A corpus of the registry, a path or an address: what the models read.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="predictions, disagreement, static, contextual, fisher, tasks; repeatable. Default: all."
        ),
    ] = None,
    annotation: Annotated[
        Path | None,
        typer.Option(help="For tasks: the corpus's GFF3 file; of text a lexicon, a word and its tag a line."),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Directory or name, instead of those beside the models.")
    ] = None,
    window: Annotated[int, typer.Option(min=8, help="Tokens a window, special ones included.")] = 64,
    windows: Annotated[int, typer.Option(min=4, help="Windows that are read at most.")] = 512,
    mask: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of tokens hidden.")] = 0.15,
    special_tokens: Annotated[
        str,
        typer.Option(help="Around each window: auto, those that the tokenizer's own template adds; or none."),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of masks and samples.")] = 42,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder that receives a table (Parquet) a chapter, provenance and report.html."),
    ] = None,
    json: Json = False,
) -> None:
    """Put any masked language models that share a vocabulary through the book's analyses.

    Weights are read from safetensors only, and no code of a model is run. Members have the numbers 1, 2, ...
    in the order in which they are named. Without a corpus only static embeddings are compared.

    An analysis that fails does not stop the others; the exit status is then 1.
    """
    from gfm_utils.claims import analyse_models, checkpoints
    from gfm_utils.tokens import load_corpus

    began = time.perf_counter()
    _check_out(out)
    read = None if corpus is None else load_corpus(corpus, profile_named("quick"))
    done = analyse_models(models, read, tokenizer, only, window, windows, mask, seed, special_tokens, annotation)
    tables = done.tables
    print(
        "No untrained members and no training part: their controls and the n-gram levels are left out; token "
        "frequencies are counted in the part of the corpus that is not read.",
        file=sys.stderr,
    )
    if out is not None:
        from gfm_utils.book.report import write_report  # and with it what builds and runs books

        source = read and {"name": read.name, "checksum": read.checksum}
        given = {
            "models": models, "only": list(tables), "tokenizer": tokenizer, "window": window, "windows": windows,
            "mask": mask, "special_tokens": special_tokens, "seed": seed, "failed": done.failed,
            "annotation": annotation and {"file": annotation.name, "sha256": sha256_of(annotation)},
        }  # fmt: skip
        seconds = time.perf_counter() - began
        provenance.record_all(tables, out, _command(), {"corpus": source, **given}, seconds)
        report = write_report(tables, out / "report.html", _command(), done.failed)
        print(f"report: {report}", file=sys.stderr)
    rows = to_rows(pd.concat(tables.values(), ignore_index=True))
    if json:
        columns = dict.fromkeys(COLUMNS)
        rows += [{**columns, "analysis": name, "error": reason} for name, reason in done.failed.items()]
    shown = rows if json else [row for row in rows if row["member"] is None]
    _show(shown, json, ("condition", "metric", "axis", "x", "value", "low", "high", "unit"))
    if done.failed:
        counted = f"{len(done.failed)} of {len(done.failed) + len(tables)} analyses failed"
        raise GfmError(f"{counted}, the others are done; {checkpoints.reasons_text(done.failed)}")


@app.command()
def build(
    profile: Profile = "quick",
    condition: Annotated[
        list[str] | None,
        typer.Option(help="corpus@tokenizer; repeat for several. Default: the book's three."),
    ] = None,
    chapter: Annotated[list[str] | None, typer.Option(help="Execute only this chapter; repeatable.")] = None,
    root: Root = Path(),
    out: Annotated[Path, typer.Option(help="Folder for all that the build makes.")] = Path("_build"),
    runs: BookRuns = None,
    seed: Seed = 42,
    record: Annotated[
        Path | None,
        typer.Option(help="Record all result tables and their provenance there, too (data/results/NAME)."),
    ] = None,
    json: Json = False,
) -> None:
    """Execute the chapters that need it and build the pages."""
    from gfm_utils.book import build as build_book
    from gfm_utils.book import check_corpora
    from gfm_utils.book.site import chapter_paths

    began = time.perf_counter()
    _check_out(root / out, record)
    chapter_paths(root, chapter)  # a wrong name is refused before any work
    notes = check_corpora(profile, condition, root, runs, seed)
    report = build_book(profile, condition, root, out, runs, seed, chapter, notes=notes)
    if record is not None:
        rows = pd.concat(list(read_tables(report.results).values()), ignore_index=True)
        configuration = {
            "profile": profile, "recipe": profile_named(profile).model_dump(mode="json"), "fitted": notes,
            "steps": None if notes else profile_named(profile).steps_taken,
            "conditions": list(report.conditions), "seed": seed, "chapters": list(report.chapters),
        }  # fmt: skip
        _record(rows, record, configuration, began)
    _show(report.rows(), json, ("profile", "seconds", "html", "results"))


@app.command()
def run(
    conditions: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS[@TOK]...",
            help="Corpora with a tokenizer, or alone: one that fits it; or a YAML list of them. A path may end "
            "in :COLUMN of a table, and in ?kind=dna, ?kind=text or ?kind=protein.",
        ),
    ],
    profile: Profile = "quick",
    out: Annotated[Path, typer.Option(help="Folder for the reports and their comparison.")] = Path("report"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Reports made side by side. Default: one a core; on a GPU one.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local: this machine; ray: a node a report of the Ray cluster at RAY_ADDRESS.")
    ] = "local",
    pages: Annotated[
        bool, typer.Option(help="Run all chapters; --no-pages: measure only what corpora are compared by.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make nothing but tokens: what training will take, before measuring.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Record the table that compares them and its provenance there, too (data/results/NAME)."
        ),
    ] = None,
    root: Root = Path(),
    runs: BookRuns = None,
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """Make a report of every corpus, one table of all results, and a page that compares all conditions.

    A corpus that fails does not stop the others; the exit status is then 1. The same command again makes only
    what is missing.
    """
    from gfm_utils.book import run as run_batch
    from gfm_utils.book.batch import by_corpus, listed
    from gfm_utils.book.jobs import DONE
    from gfm_utils.ensembles import plan_ensembles

    began = time.perf_counter()
    _check_out(record)
    given = listed(conditions)
    if dry_run:
        asked = [condition for of_corpus in by_corpus(given).values() for condition in of_corpus]
        _show_costs(asked, profile_named(profile), runs or root / "runs", seed, json)
        return
    report = run_batch(given, profile, out, root, runs, seed, jobs, engine=engine, pages=pages)
    if record is not None and report.comparison is not None:
        done = [condition for one in report.outcomes if one.state == DONE for condition in one.conditions]
        ensembles = plan_ensembles(done, profile, runs or root / "runs", seed)
        configuration = {
            "profile": profile, "steps": profile_named(profile).steps_taken, "conditions": given, "seed": seed,
            "seconds_of_training_added_up_over_members": round(sum(one.training_seconds for one in ensembles)),
            "failed": {one.name: one.error for one in report.failed},
        }  # fmt: skip
        _record(report.comparison, record, configuration, began)
    _show(report.rows(), json, ("report", "state", "seconds", "html"))
    if not json and report.html is not None:
        print(f"comparison: {report.html}")
    if report.failed:
        failures = [f"  {one.name}: {one.error}\n    again: {report.commands[one.name]}" for one in report.failed]
        counted = f"{len(report.failed)} of {len(report.outcomes)} reports failed"
        raise GfmError("\n".join([f"{counted}; each with the command that makes just that again:", *failures]))


@app.command()
def forecast(
    corpus: Annotated[list[str], typer.Argument(help="Corpora of the registry, paths or addresses.")],
    runs: Runs = Path("runs"),
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """What models of a corpus will show, from counting alone: before anything is trained.

    It speaks of models like those of the recorded atlas, on which it is fitted: five small ones, of the profile
    "atlas" and the tokenizer bpe512. "low" and "high" are the ends of 90 % intervals, "mean_value" is the mean of
    the atlas without kin of the corpus. Where it knows no better than that, or no corpus of the atlas is near, it
    says so.
    """
    from gfm_utils.claims import atlas_points, forecasts
    from gfm_utils.measures.registry import MEASURES
    from gfm_utils.provenance import recorded
    from gfm_utils.tokens import Condition, names_tokenizer

    for name in corpus:
        if names_tokenizer(name) and not Path(name).exists():
            Condition.parse(name)  # a tokenizer that does not exist is refused as such
            raise GfmError(f"{name}: what is forecast is cut by the tokenizer of the atlas; give the corpus alone")
    table, notes = forecasts(corpus, atlas_points(recorded("atlas")[0]), runs, seed)
    if table.empty:
        raise GfmError("; ".join(notes))
    for note in notes:
        print(note, file=sys.stderr)
    rows = [{**row, "measure": MEASURES[row["metric"]].text} for row in to_rows(table)]
    _show(rows, json, ("corpus", "measure", "value", "low", "high", "mean_value", "outcome"))
    if (lacking := len(set(corpus)) - table["corpus"].nunique()) > 0:
        raise GfmError(f"{lacking} of {len(set(corpus))} corpora could not be counted, as said above")


@app.command()
def why(
    claim: Annotated[str, typer.Argument(help="Name of a number of the front page; without one their list.")] = "",
    json: Json = False,
) -> None:
    """Where a number of the front page comes from: its rows, what made them, when and on what.

    The pages have the same below "Where the numbers come from". Numbers are those of recorded runs.
    """
    from gfm_utils.book.why import TRACED, recorded_traces

    traces = recorded_traces()
    if not claim:
        _show([{"name": trace.name, "text": trace.text} for trace in traces.values()], json, ("name", "text"))
        return
    if claim not in traces:
        raise unknown("claim", claim, traces)
    trace = traces[claim]
    told = {"Function": f"{trace.function_name}, {trace.place}", "Figure": trace.figure or "–", **trace.facts}
    if not json:
        print("\n".join([trace.text, *(f"  {head}: {text}" for head, text in told.items()), ""]))
    rows = [{"row": index, **row} for index, row in zip(trace.rows.index, to_rows(trace.rows), strict=True)]
    _show([{**row, **told} for row in rows] if json else rows, json, ("row", *TRACED))


def main() -> None:
    """Entry point: an error that the user can mend is one sentence and exit status 1."""
    try:
        app()
    except (GfmError, OSError) as error:
        if not isinstance(error, GfmError) and error.errno is None:
            raise
        print(f"gfm: {sentence_of(error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
