"""gfm run: reports side by side; one fails, is killed, interrupted or out of space; on a book of one chapter."""

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pandas as pd
import psutil
import pytest
import toybook

from gfm_utils.book import batch, jobs, workers
from gfm_utils.book.batch import BatchReport, by_corpus, command, listed, run
from gfm_utils.errors import GfmError
from gfm_utils.tables import COLUMNS

#: What a chapter leaves for the comparison: numbers that depend on nothing but the tokens. It imports little, so
#: that a report takes seconds. A file ``wait`` beside it that names a corpus has its report wait there; once.
MEASURED = """import json, os, time
from pathlib import Path
from gfm_utils.tables import table, write_table
mark = Path("wait")
if mark.exists() and mark.read_text() in conditions[0]:
    mark.unlink()
    time.sleep(600)
abouts = [json.loads(path.read_text()) for path in sorted(Path(runs_dir).glob("tokens/*/store.json"))]
found = {about["key"]["condition"]: about for about in abouts if about["key"]["condition"] in conditions}"""
ROWS = """def rows(condition, about):
    share = about["parts"]["test"]["tokens"] / about["parts"]["train"]["tokens"]
    own = {"condition": condition, "state": "trained", "value": share, "low": share / 2, "high": 2 * share, "n": 3}
    yield {**own, "metric": "context_gain", "unit": "bits/token"}
    yield {**own, "metric": "unigram_nll", "unit": "bits/token", "state": None, "value": 1}
    symbol = "bits/base" if "kmer" in condition else "bits/character"
    name = condition.rpartition("@")[0].rpartition("/")[2]
    yield {**own, "condition": name, "metric": "code_length", "unit": symbol, "state": None}
    yield {**own, "condition": name, "metric": "uniform_entropy", "unit": symbol, "state": None, "value": 2}
    yield {**own, "metric": "js_distance", "unit": "distance"}
    yield {**own, "metric": "fisher_share", "unit": "share", "axis": "group", "x": "encoder"}
    yield {**own, "metric": "fisher_share", "unit": "share", "axis": "group", "x": "encoder", "state": "untrained"}
frame = table(row for condition, about in found.items() for row in rows(condition, about))
_ = write_table(frame, Path(results_dir) / "numbers.parquet"), profile, seed"""


BATCH = ("prosa.txt", "reads.fastq", "broken.fa.gz")


def write_toy(root: Path) -> Path:
    """A book whose one chapter gives the comparison its numbers."""
    cells = toybook.text("# Numbers"), toybook.code(MEASURED), toybook.code(ROWS)
    return toybook.write_small_book(root, "numbers", cells, "# Small\n\n```{include} _run_table.md\n```\n")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "book")


def dna(count: int) -> str:
    return "".join(np.random.default_rng(count).choice(list("ACGT"), count, p=[0.4, 0.1, 0.1, 0.4]))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small corpora, one of them broken."""
    folder, rng = tmp_path_factory.mktemp("corpora"), np.random.default_rng(5)
    words = ["".join(rng.choice(list("aeiouäöüßlmnrst"), rng.integers(2, 8))) for _ in range(60)]
    reads = dna(45_000)
    written = {
        "prosa.txt": "\n\n".join(" ".join(rng.choice(words, 90)) + "." for _ in range(90)).encode(),
        "reads.fastq": "".join(
            f"@r{i}\n{reads[90 * i : 90 * i + 90]}\n+\n{'I' * 90}\n" for i in range(500)
        ).encode(),
        "plain.fa": f">one\n{dna(32_000)}\n".encode(),
        "broken.fa.gz": gzip.compress(f">one\n{dna(36_000)}\n".encode())[:-900],
    }
    for name, content in written.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in written}


def combined(out: Path) -> pd.DataFrame:
    """The combined table in one order."""
    frame = pd.read_parquet(out / "results.parquet")
    return frame.sort_values(["condition", "metric", "state"], ignore_index=True)


def until(happened: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def processes_of(root: Path) -> list[psutil.Process]:
    """Kernels and workers whose command names a folder of this test."""
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if any(str(root) in word for word in one.info["cmdline"] or ())]


@pytest.fixture(scope="module")
def undisturbed(corpora: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> BatchReport:
    """A run over three of them."""
    root = write_toy(tmp_path_factory.mktemp("undisturbed") / "book")
    return run([str(corpora[name]) for name in BATCH], "smoke", root / "out", root, progress=False)


@pytest.mark.slow
class TestBatch:
    def test_a_failure_is_clear_and_stops_no_other(
        self, undisturbed: BatchReport, corpora: dict[str, Path]
    ) -> None:
        states = {Path(one.corpus).name: one.state for one in undisturbed.outcomes}
        assert states == {name: "failed" if name == "broken.fa.gz" else "done" for name in BATCH}
        (broken,) = undisturbed.failed
        assert "broken.fa.gz is truncated" in str(broken.error)
        assert broken.command.startswith(f"gfm run {corpora['broken.fa.gz']} --profile")
        for row in undisturbed.rows():
            assert (row["html"] is None) == (row["state"] == "failed")
            assert row["html"] is None or Path(row["html"]).is_file()
        assert json.dumps(undisturbed.rows())

    def test_one_table_and_one_page_over_everything(self, undisturbed: BatchReport) -> None:
        frame, out = combined(undisturbed.out), undisturbed.out
        assert list(frame.columns) == [*COLUMNS, "report", "chapter"]
        assert frame["report"].nunique() == 2 and set(frame["chapter"]) == {"numbers"}
        assert len(pd.read_csv(out / "results.csv")) == len(frame)
        trained = {name for name in frame["condition"] if "@" in name}
        assert trained == set().union(*(one.conditions for one in undisturbed.outcomes if one.state == "done"))
        points = pd.read_parquet(out / "comparison.parquet")
        assert list(points.loc[points["metric"] == "context_gain_share", "x"]) == ["text", "dna"]
        assert undisturbed.html == out / "index.html"
        page = undisturbed.html.read_text(encoding="utf-8")
        assert page.count('id="altair-viz-') == 3 and "prosa.txt@" in page and "reads.fastq@" in page
        for words in ("profile <code", "nothing about a corpus", "failed", "is truncated"):
            assert words in page

    @pytest.mark.browser
    def test_the_comparison_draws_without_a_network(self, undisturbed: BatchReport) -> None:
        assert not browser.check(undisturbed.out, ["index"])

    def test_the_reports_say_what_was_adapted(self, undisturbed: BatchReport) -> None:
        (reads,) = [one for one in undisturbed.outcomes if "reads" in one.name]
        adapted = "windows of 16 tokens instead of 64"
        assert any(adapted in note for note in reads.notes)
        for page in (undisturbed.out / "index.html", undisturbed.out / reads.name / "html" / "intro.html"):
            assert adapted in page.read_text(encoding="utf-8")

    def test_interrupted_and_given_again_twice_at_once(
        self, undisturbed: BatchReport, corpora: dict[str, Path]
    ) -> None:
        """Ctrl-C while the mended file's report is made: nothing goes on, and two commands make it once, alone."""
        out, root = undisturbed.out, undisturbed.out.parent
        before, path = combined(out), corpora["broken.fa.gz"]
        path.write_bytes(gzip.compress(corpora["plain.fa"].read_bytes()))
        given = [str(corpora["prosa.txt"]), str(path)]
        (root / "chapters" / "wait").write_text(path.name)
        words = [sys.executable, "-m", "gfm_utils.cli", "run", *given, "--jobs", "1", "--profile", "smoke"]
        process = subprocess.Popen(
            [*words, "--root", str(root), "--out", str(out)], stderr=subprocess.PIPE, text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored in jobs of a shell
        )  # fmt: skip
        until(lambda: not (root / "chapters" / "wait").exists())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode != 0 and "Traceback" not in err
        standing, cut_off = (jobs.read_outcome(out / jobs.report_name(name)) for name in given)
        assert standing is not None and standing.executed == 0 and cut_off is None
        until(lambda: not processes_of(root))
        with ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(run, given, "smoke", out, root, progress=False) for _ in range(2)]
        first, second = ([one.executed for one in batch.result().outcomes] for batch in runs)
        assert sorted([first, second]) == [[0, 0], [0, 1]]
        after = combined(out)
        assert after["report"].nunique() == 3
        kept = after[after["report"].isin(before["report"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, before)


def test_conditions_of_one_corpus_are_one_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Controls too, with or without a tokenizer, which then fits the size; also where names have @ or +."""
    monkeypatch.chdir(tmp_path)
    written = {
        "a.fa": ">a\n" + dna(30_000), "small.fa": ">a\n" + dna(2_000), "b.csv": "words\n" + "x" * 100,
        "my@file.fa": ">r\n" + "ACGT" * 500,
    }  # fmt: skip
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = by_corpus([
        "a.fa@kmer2", "b.csv:words", "./a.fa", "a.fa@kmer2", "news@bpe64", "small.fa", "no/such.fa", "my@file.fa",
        "a.fa+markov8@kmer4", "./a.fa+noise0.250", "b.csv:words+noise0.25", "my@file.fa@kmer3",
        "https://x.org/a.fa+shuffle@kmer4", "https://x.org/a.fa@kmer4", "none@here.fa",
    ])  # fmt: skip
    a, b, at = (f"{tmp_path}/{name}" for name in ("a.fa", "b.csv:words", "my@file.fa"))
    assert found == {
        a: {f"{a}@kmer2": "a.fa@kmer2", f"{a}@kmer4": "./a.fa", f"{a}+markov8@kmer4": "a.fa+markov8@kmer4",
            f"{a}+noise0.25@kmer4": "./a.fa+noise0.250"},
        b: {f"{b}@bpe256": "b.csv:words", f"{b}+noise0.25@bpe256": "b.csv:words+noise0.25"},
        "news": {"news@bpe64": "news@bpe64"},
        f"{tmp_path}/small.fa": {f"{tmp_path}/small.fa@kmer2": "small.fa"},
        "no/such.fa": {"no/such.fa@kmer4": "no/such.fa"},
        at: {f"{at}@kmer2": "my@file.fa", f"{at}@kmer3": "my@file.fa@kmer3"},
        "https://x.org/a.fa": {f"https://x.org/a.fa{end}": f"https://x.org/a.fa{end}"
                               for end in ("+shuffle@kmer4", "@kmer4")},
        "none@here.fa": {"none@here.fa@kmer4": "none@here.fa"},
    }  # fmt: skip
    assert by_corpus([text for given in found.values() for text in given.values()]) == found  # made again
    names = [jobs.report_name(corpus) for corpus in (*found, str(tmp_path / "sub" / "a.fa"))]
    assert len(set(names)) == len(names) and "news" in names
    with pytest.raises(GfmError, match="noise takes a share above 0 and at most 1"):
        by_corpus(["a.fa+noise2"])


def job_in(folder: Path, name: str = "news", **more: Any) -> jobs.Job:
    """A job that nothing is made of, in folders of the test."""
    fields = {"corpus": name, "conditions": (f"{name}@kmer2",), "profile": "smoke", "seed": 42, "root": folder}
    return jobs.Job(**{"name": name, **fields, "out": folder, "runs_dir": folder / "runs", **more})


def test_a_report_that_begins_anew_does_not_stand_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted between two chapters its tables are of two states of the corpus."""
    job, told = job_in(tmp_path), ["cached", "running", "executed"]

    def build(*_: object, on_chapter: jobs.OnChapter) -> None:
        for what in told:
            on_chapter("one", what)
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "build", build)
    while told:
        job.ended()
        with pytest.raises(KeyboardInterrupt):
            jobs.make_report(job, lambda _name, _what: None)
        assert (jobs.read_outcome(job.folder) is None) == ("running" in told)
        told.pop()


def killed_or_done(job: jobs.Job, on_chapter: jobs.OnChapter) -> jobs.Outcome:
    on_chapter("one", "running")
    if job.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return job.ended()


@pytest.mark.slow
def test_a_killed_report_is_named_and_stops_no_other(tmp_path: Path) -> None:
    told: list[tuple[str, str | None, str]] = []
    made = [job_in(tmp_path, name) for name in ("killed", "other")]
    made[0].ended()
    outcomes = workers.run_local(made, 1, lambda *message: told.append(message), killed_or_done)
    assert [one.state for one in outcomes] == ["failed", "done"]
    assert "was killed (SIGKILL)" in str(outcomes[0].error) and batch.reports_in(tmp_path) == outcomes
    failed = ("killed", None, f"failed: {outcomes[0].error}")
    assert told == [("killed", "one", "running"), failed, ("other", "one", "running")]


def test_reports_side_by_side_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """All cores are given, none twice; where there are more reports than cores, each has one."""
    given: list[list[int]] = []
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # and as it was at the end
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5, 7})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, share: given.append(list(share)))
    eight = [[core] for core in (2, 2, 3, 3, 5, 5, 7, 7)]
    for at_once, threads, shares in ((2, "2", [[2, 3], [5, 7]]), (1, "4", [[2, 3, 5, 7]]), (8, "1", eight)):
        given.clear()
        for place in range(at_once):
            monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
            workers._take_share(place, at_once)
        assert given == shares and os.environ["OMP_NUM_THREADS"] == threads


def test_the_command_names_what_is_not_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"profile": "smoke", "out": tmp_path / "my out", "runs": tmp_path / "runs", "root": tmp_path,
               "seed": 42, "engine": "local"}  # fmt: skip
    plain = f"gfm run a@kmer2 --profile smoke --out '{tmp_path}/my out'"
    assert command(["a@kmer2"], options) == plain
    assert command(["a@kmer2"], options | {"engine": "ray"}, pages=False) == f"{plain} --engine ray --no-pages"
    other = options | {"root": tmp_path / "book", "runs": tmp_path / "r", "seed": 7}
    assert command(["a@kmer2"], other) == f"{plain} --runs {tmp_path}/r --root {tmp_path}/book --seed 7"


def test_a_list_of_corpora_stands_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- news@bpe256\n- a.fa\n")
    assert listed(["b.fa", str(path)]) == ["b.fa", "news@bpe256", "a.fa"]
    for content in ("a: 1", "[1]", "[", "", "[]"):
        path.write_text(content)
        with pytest.raises(GfmError, match=f"{path} is no list"):
            listed([str(path)])
    with pytest.raises(GfmError, match="nowhere"):
        listed(["nowhere.yaml"])


def test_without_pages_the_measures_are_made_once(tmp_path: Path) -> None:
    """Chapters are not run, the comparison is there, and what stands is not made again."""
    genome = tmp_path / "genome.fa"
    genome.write_text(f">one\n{dna(60_000)}\n")
    given, out = [f"{genome}@kmer2"], tmp_path / "out"
    first = run(given, "smoke", out, runs_dir=tmp_path / "runs", progress=False, pages=False)
    assert not first.failed and first.html is not None and first.rows()[0]["html"] is None
    assert "only measured" in first.html.read_text()
    before = combined(out)
    assert {"context_gain", "js_distance", "fisher_share", "topk_overlap_corrected"} <= set(before["metric"])
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*/kept/*")}
    assert len(kept) == len(jobs.TABLES)
    run(given, "smoke", out, runs_dir=tmp_path / "runs", progress=False, pages=False)
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/kept/*")} == kept
    pd.testing.assert_frame_equal(combined(out), before)


def test_profiles_do_not_mix_and_names_are_checked_first(book: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job_in(out).ended()
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("kmer2", {"profile": "quick"}, r"holds a report of profile 'smoke' and seed 42 .news.*another --out"),
        ("kmer2", {"profile": "smok"}, "unknown profile 'smok'; did you mean 'smoke'"),
        ("kmr2", {}, "unknown tokenizer 'kmr2'"),
        ("kmer2", {"engine": "rai"}, "unknown engine 'rai'; did you mean 'ray'"),
        ("kmer2", {"engine": "ray", "at_once": 2}, "with Ray each node makes one"),
    ]
    for tokenizer, more, sentence in cases:
        with pytest.raises(GfmError, match=sentence):
            run([f"plain@{tokenizer}"], out=out, root=book, **{"profile": "smoke"} | more)
    assert [path.name for path in out.iterdir()] == ["news"]


def test_a_failure_that_cannot_be_written_down_is_still_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk, and an earlier success does not stand."""
    job = job_in(tmp_path)
    assert job.ended(notes=["a"]) == jobs.read_outcome(job.folder)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jobs, "write_json", full)
    assert "No space left on device" in str(job.ended().error)
    assert jobs.read_outcome(job.folder) is None
    (job.folder / "report.json").write_text('{"name": "a", "surprise": 1}')
    assert batch.reports_in(tmp_path) == []  # a report of another format counts as missing
    assert job.ended("chapter 'a' failed").error == "chapter 'a' failed"
