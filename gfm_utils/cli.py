"""The ``gfm`` command: thin; every verb takes ``--json`` for machines."""

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
from typer import Argument, Option, Typer

from gfm_utils import corpora as corpora_
from gfm_utils import options as opt
from gfm_utils.errors import GfmError, sentence_of, unknown
from gfm_utils.profiles import profile as profile_named
from gfm_utils.tables import COLUMNS, read_tables, to_rows

app = Typer(
    help="Entropy, disagreement and the limits of genomic foundation models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def corpora(json: opt.Json = False) -> None:
    """List the registry: kind, size, licence, and what is cached."""
    opt.show(corpora_.status(), json, "name kind cached description licence")


@app.command()
def fetch(
    names: Annotated[list[str], Argument(help="Corpora of the registry, or https:// addresses of files.")],
    json: opt.Json = False,
) -> None:
    """Download corpora and verify their checksums."""
    opt.show([{"name": name, "path": str(corpora_.fetch(name))} for name in names], json, "name path")


@app.command()
def entropy(
    corpora: opt.Corpora,
    tokenizer: Annotated[str | None, Option(help="Also per token, e.g. kmer6 or bpe4096.")] = None,
    annotation: Annotated[Path | None, Option(help="GFF3 file of one genome: bits by class of bases.")] = None,
    symbols: Annotated[int | None, Option(min=0, help="First symbols to read, not the profile's; 0: all.")] = None,
    profile: opt.Profile = "quick",
    runs: opt.Runs = Path("runs"),
    seed: opt.Seed = 42,
    out: opt.Out = None,
    json: opt.Json = False,
) -> None:
    """Estimate the entropy of corpora: from counts of blocks, from lengths of matches, and by code lengths.

    How much is read depends on the profile: column n says how many blocks or symbols a row rests on. It takes some
    40 bytes of memory for each symbol, and up to 1.5 GB of tables.
    """
    from gfm_utils.corpora import read_annotation
    from gfm_utils.figures.entropy import rates
    from gfm_utils.measures import corpus_entropies
    from gfm_utils.tokens import Condition, load_corpus, prepare

    opt.check_alone(corpora, "--tokenizer names what a corpus is cut by")
    record = opt.recorder(out, runs if tokenizer is not None else None)
    size = profile_named(profile)
    if symbols is not None:
        size = size.model_copy(update=dict.fromkeys(("entropy_symbols", "code_symbols"), symbols or None))
    loaded = [load_corpus(corpus, size) for corpus in corpora]
    if annotation is not None and [corpus.kind for corpus in loaded] != ["dna"]:
        raise GfmError("--annotation belongs to one DNA corpus: name just that corpus")
    annotations = None if annotation is None else {loaded[0].name: read_annotation(annotation)}
    conditions = [Condition(corpus, tokenizer) for corpus in corpora if tokenizer is not None]
    stores = [prepare(condition, size, runs, seed) for condition in conditions]
    table, _ = corpus_entropies(loaded, stores, size, annotations)
    read = {corpus.name: {"checksum": corpus.checksum, "symbols": corpus.symbols} for corpus in loaded}
    given = {"symbols": symbols, "profile": profile, "tokenizer": tokenizer, "seed": seed}
    record(table, corpora=read, annotation=opt.about_file(annotation), **given)
    opt.show(to_rows(table), json, "condition metric estimator order axis x value se n unit kind trusted")
    if not json:
        print("", rates(table).to_string(index=False), sep="\n")


@app.command()
def calibrate(
    repeats: Annotated[int, Option(min=1, help="Samples of each source and size.")] = 5,
    seed: opt.Seed = 0,
    out: opt.Out = None,
    json: opt.Json = False,
) -> None:
    """How far every entropy estimator is off, on sources whose entropy rate is known exactly.

    Says which numbers of `gfm entropy` to believe at which size; takes about ten minutes.
    """
    from gfm_utils.entropy import calibration

    record = opt.recorder(out)
    sources, sizes = calibration.every_source(), calibration.SIZES
    table = calibration.calibrate(sources, sizes, repeats, seed, slow_symbols=sizes[-2], progress=True)
    record(table, sources=[source.name for source in sources], sizes=list(sizes), repeats=repeats, seed=seed)
    opt.show(to_rows(table), json, "condition metric estimator x value low high unit")


@app.command()
def doctor(runs: opt.Runs = Path("runs"), json: opt.Json = False) -> None:
    """Check this machine in under a minute: versions, devices, attention, training, folders.

    A check is ok, slow, or broken, with what to do. The exit status is 1 if training would not work.
    """
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
        opt.show([check.row() for check in checks], True)
    if broken := [check.name for check in checks if check.stops_training]:
        raise GfmError(f"training does not work on this machine; broken: {', '.join(broken)}")
    if not json:
        print("training works on this machine")


@app.command()
def train(
    conditions: opt.Conditions,
    profile: opt.Profile = "quick",
    members: Annotated[int | None, Option(min=1, help="Members, instead of the profile's number.")] = None,
    vary: Annotated[str | None, Option(help="Members differ by init, order, masks, init+masks or all.")] = None,
    steps: Annotated[int | None, Option(min=1, help="Steps a member, instead of the profile's.")] = None,
    tokens: Annotated[int | None, Option(min=1, help="Tokens a member reads, instead of steps.")] = None,
    preset: Annotated[str | None, Option(help="Architecture and size, not the profile's, e.g. bert-4m.")] = None,
    engine: opt.Engine = "local",
    dry_run: opt.DryRun = False,
    devices: Annotated[int, Option(min=1, help="With --dry-run: also the time on so many devices.")] = 1,
    runs: opt.Runs = Path("runs"),
    seed: opt.Seed = 42,
    json: opt.Json = False,
) -> None:
    """Train the ensembles of some conditions.

    What is already trained is left alone, and what an earlier run left unfinished continues where it was.
    """
    from gfm_utils.claims.learning import learning_curves
    from gfm_utils.ensembles import engine_named, train_ensembles

    engine_named(engine)  # a wrong name is refused before any work, and by a dry run, which measures this machine
    size = profile_named(profile).changed(vary, steps, tokens, preset)
    if dry_run:
        opt.show_costs(conditions, size, runs, seed, json, members, devices)
        return
    ensembles = train_ensembles(conditions, size, runs, seed, members, engine=engine)
    members_rows = [
        {"condition": each.condition, "seed": one.seed, "validation_nll": one.validation_loss, "path": one.path}
        for each in ensembles
        for one in each.members
    ]
    opt.show(to_rows(learning_curves(ensembles)) if json else members_rows, json)


@app.command()
def analyse(
    models: Annotated[
        list[str], Argument(metavar="DIR|MODEL...", help="Checkpoints, folders of them, hub names.")
    ],
    corpus: Annotated[str | None, Option(help="What the models read: a name, path or address.")] = None,
    only: Annotated[list[str] | None, Option(help="An analysis; repeatable. Default: all.")] = None,
    annotation: Annotated[Path | None, Option(help="For tasks: GFF3; of text, a word and its tag a line.")] = None,
    tokenizer: Annotated[str | None, Option(help="Directory or name, instead of those beside the models.")] = None,
    window: Annotated[int, Option(min=8, help="Tokens a window, special ones included.")] = 64,
    windows: Annotated[int, Option(min=4, help="Windows that are read at most.")] = 512,
    mask: Annotated[float, Option(min=0.01, max=0.9, help="Share of tokens hidden.")] = 0.15,
    special_tokens: Annotated[str, Option(help="Around windows: auto, the tokenizer's own; or none.")] = "auto",
    seed: opt.Seed = 42,
    out: opt.Out = None,
    json: opt.Json = False,
) -> None:
    """Put any masked language models that share a vocabulary through the book's analyses.

    The analyses are predictions, disagreement, static, contextual, fisher and tasks; without a corpus only static.
    Weights are read from safetensors only, and no code of a model is run. --out also receives report.html. An
    analysis that fails does not stop the others; the exit status is then 1.
    """
    from gfm_utils.claims import analyse_models, checkpoints
    from gfm_utils.tokens import load_corpus

    record = opt.recorder(out)
    read = None if corpus is None else load_corpus(corpus, profile_named("quick"))
    done = analyse_models(models, read, tokenizer, only, window, windows, mask, seed, special_tokens, annotation)
    tables, failed = done.tables, done.failed
    print("No untrained members, no training part: their controls and n-gram levels are left out", file=sys.stderr)
    record(
        tables, corpus=read and {"name": read.name, "checksum": read.checksum}, models=models, only=list(tables),
        tokenizer=tokenizer, window=window, windows=windows, mask=mask, special_tokens=special_tokens, seed=seed,
        failed=failed, annotation=opt.about_file(annotation),
    )  # fmt: skip
    if out is not None:
        from gfm_utils.book.report import write_report  # and with it what builds and runs books

        print(f"report: {write_report(tables, out / 'report.html', opt.command(), failed)}", file=sys.stderr)
    rows = to_rows(pd.concat(tables.values(), ignore_index=True))
    if json:
        rows += [{**dict.fromkeys(COLUMNS), "analysis": name, "error": why} for name, why in failed.items()]
    else:
        rows = [row for row in rows if row["member"] is None]
    opt.show(rows, json, "condition metric axis x value low high unit")
    if failed:
        counted = f"{len(failed)} of {len(failed) + len(tables)} analyses failed"
        raise GfmError(f"{counted}, the others are done; {checkpoints.reasons_text(failed)}")


@app.command()
def build(
    profile: opt.Profile = "quick",
    condition: Annotated[list[str] | None, Option(help="corpus@tokenizer; repeatable.")] = None,
    chapter: Annotated[list[str] | None, Option(help="Execute only this chapter; repeatable.")] = None,
    root: opt.Root = Path(),
    out: Annotated[Path, Option(help="Folder for all that the build makes.")] = Path("_build"),
    runs: opt.BookRuns = None,
    seed: opt.Seed = 42,
    record: opt.Record = None,
    json: opt.Json = False,
) -> None:
    """Execute the chapters that need it and build the pages."""
    from gfm_utils.book import build as build_book

    keep = opt.recorder(record, root / out)
    report = build_book(profile, condition, root, out, runs, seed, chapter)
    size = profile_named(profile)
    keep(
        pd.concat(list(read_tables(report.results).values()), ignore_index=True), profile=profile,
        recipe=size.model_dump(mode="json"), fitted=report.notes, steps=None if report.notes else size.steps_taken,
        conditions=list(report.conditions), seed=seed, chapters=list(report.chapters),
    )  # fmt: skip
    opt.show(report.rows(), json, "profile seconds html results")


@app.command()
def run(
    conditions: opt.Reports,
    profile: opt.Profile = "quick",
    out: Annotated[Path, Option(help="Folder for the reports and their comparison.")] = Path("report"),
    jobs: Annotated[int | None, Option(min=1, help="Reports at a time: else one a core; on a GPU one.")] = None,
    engine: opt.Engine = "local",
    pages: Annotated[bool, Option(help="Run the chapters; if not, only what corpora are compared by.")] = True,
    dry_run: opt.DryRun = False,
    record: opt.Record = None,
    root: opt.Root = Path(),
    runs: opt.BookRuns = None,
    seed: opt.Seed = 42,
    json: opt.Json = False,
) -> None:
    """Make a report of every corpus, one table of all results, and a page that compares all conditions.

    One that fails does not stop the others; the exit status is then 1. The same command makes what is missing.
    """
    from gfm_utils.book import run as run_batch
    from gfm_utils.book.batch import by_corpus, listed
    from gfm_utils.ensembles import plan_ensembles

    keep, given, size = opt.recorder(record), listed(conditions), profile_named(profile)
    if dry_run:
        asked = [condition for of_corpus in by_corpus(given).values() for condition in of_corpus]
        opt.show_costs(asked, size, runs or root / "runs", seed, json)
        return
    report = run_batch(given, profile, out, root, runs, seed, jobs, engine, pages)
    if record is not None and report.html is not None:
        done = [condition for one in report.outcomes if one.error is None for condition in one.conditions]
        trained = plan_ensembles(done, profile, runs or root / "runs", seed)
        keep(
            pd.read_parquet(out / "comparison.parquet"), profile=profile, steps=size.steps_taken, conditions=given,
            seed=seed, failed={one.name: one.error for one in report.failed},
            seconds_of_training_added_up_over_members=round(sum(one.training_seconds for one in trained)),
        )  # fmt: skip
    opt.show(report.rows(), json, "report state seconds html")
    if not json and report.html is not None:
        print(f"comparison: {report.html}")
    if report.failed:
        failures = [f"  {one.name}: {one.error}\n    again: {one.command}" for one in report.failed]
        counted = f"{len(report.failed)} of {len(report.outcomes)} reports failed"
        raise GfmError("\n".join([f"{counted}; each with the command that makes just that again:", *failures]))


@app.command()
def forecast(
    corpus: opt.Corpora, runs: opt.Runs = Path("runs"), seed: opt.Seed = 42, json: opt.Json = False
) -> None:
    """What models of a corpus will show, from counting alone: before anything is trained.

    Of models like those of the recorded atlas: profile "atlas", tokenizer bpe512. "low" and "high" end 90 %
    intervals, "mean_value" is the atlas's mean without kin of the corpus. Where it knows no better, it says so.
    """
    from gfm_utils.claims import atlas_points, forecasts
    from gfm_utils.measures.registry import MEASURES
    from gfm_utils.provenance import recorded

    opt.check_alone(corpus, "what is forecast is cut by the tokenizer of the atlas")
    table, notes = forecasts(corpus, atlas_points(recorded("atlas")[0]), runs, seed)
    if table.empty:
        raise GfmError("; ".join(notes))
    for note in notes:
        print(note, file=sys.stderr)
    rows = [{**row, "measure": MEASURES[row["metric"]].text} for row in to_rows(table)]
    opt.show(rows, json, "corpus measure value low high mean_value outcome")
    if (lacking := len(set(corpus)) - table["corpus"].nunique()) > 0:
        raise GfmError(f"{lacking} of {len(set(corpus))} corpora could not be counted, as said above")


@app.command()
def why(
    claim: Annotated[str, Argument(help="Name of a number of the front page; without one their list.")] = "",
    json: opt.Json = False,
) -> None:
    """Where a number of the front page comes from: its rows, what made them, when and on what."""
    from gfm_utils.book.why import TRACED, recorded_traces

    traces = recorded_traces()
    if not claim:
        opt.show([{"name": trace.name, "text": trace.text} for trace in traces.values()], json)
        return
    if claim not in traces:
        raise unknown("claim", claim, traces)
    trace = traces[claim]
    said = {"Function": f"{trace.function_name}, {trace.place}", "Figure": trace.figure or "–", **trace.facts}
    if not json:
        print("\n".join([trace.text, *(f"  {head}: {text}" for head, text in said.items()), ""]))
    rows = [{"row": index, **row} for index, row in zip(trace.rows.index, to_rows(trace.rows), strict=True)]
    opt.show([{**row, **said} for row in rows] if json else rows, json, " ".join(["row", *TRACED]))


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
