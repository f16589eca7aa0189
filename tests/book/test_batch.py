"""gfm run: reports side by side, what fails and what is killed, and two runs at once; on a book of one chapter."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toybook

from gfm_utils.book import batch, jobs
from gfm_utils.book.batch import by_corpus, command, run
from gfm_utils.errors import GfmError
from gfm_utils.tables import COLUMNS

RNG = np.random.default_rng(5)

#: What a chapter leaves for the comparison: real ensembles, and numbers that depend on nothing but their losses.
MEASURED = """import json, os
from gfm_utils.book import open_chapter
from gfm_utils.tables import table
chapter = open_chapter("numbers", profile, conditions, runs_dir, results_dir, seed)
marker = os.environ.get("GFM_TEST_KILL")
if marker and "lower" in conditions[0] and not os.path.exists(marker):
    open(marker, "w").close()
    os.kill(os.getppid(), 9)  # the process of this report, in the middle of it
    import time; time.sleep(60)
found = chapter.ensembles"""
ROWS = """def rows(ensemble):
    loss = [float(member.metrics["validation_loss"].iloc[-1]) for member in ensemble.members]
    own = {"condition": ensemble.condition, "state": "trained", "value": loss[0], "low": loss[0] - 1,
           "high": loss[0] + 1, "n": len(loss)}
    yield {**own, "metric": "context_gain", "unit": "bits/token"}
    yield {**own, "metric": "unigram_nll", "unit": "bits/token", "state": None}
    symbol = f"bits/{ensemble.store.unit}"
    name = ensemble.condition.rpartition("@")[0].rpartition("/")[2]
    yield {**own, "condition": name, "metric": "code_length", "unit": symbol, "state": None}
    yield {**own, "condition": name, "metric": "uniform_entropy", "unit": symbol, "state": None}
    yield {**own, "metric": "js_distance", "unit": "distance"}
    yield {**own, "metric": "js_distance", "unit": "distance", "state": "untrained"}
    yield {**own, "metric": "fisher_share", "unit": "share", "axis": "group", "x": "encoder"}
chapter.save(table(row for ensemble in found for row in rows(ensemble)))
times = {str(m.path): os.stat(m.path / "model.safetensors").st_mtime_ns for e in found for m in e.members}
with open(f"{results_dir}/members.json", "w") as handle: json.dump(times, handle)"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book whose one chapter trains ensembles and gives the comparison its numbers."""
    root = toybook.write_book(tmp_path_factory.mktemp("batch") / "book")
    (root / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n  - file: chapters/numbers\n")
    (root / "intro.md").write_text("# Small\n\n```{include} _run_table.md\n```\n")
    cells = [
        toybook.text("# Numbers"),
        toybook.code(toybook.PARAMETERS, ("parameters",)),
        toybook.code(MEASURED),
        toybook.code(ROWS),
    ]
    toybook.write_notebook(root / "chapters" / "numbers.ipynb", cells)
    return root


def dna(count: int) -> str:
    return "".join(RNG.choice(list("ACGT"), count, p=[0.4, 0.1, 0.1, 0.4]))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Six small corpora: one of each kind that people bring, and one that is broken."""
    folder = tmp_path_factory.mktemp("corpora")
    words = ["".join(RNG.choice(list("aeiouäöüßlmnrst"), RNG.integers(2, 8))) for _ in range(60)]
    prose = [" ".join(RNG.choice(words, 90)) + "." for _ in range(90)]
    records = []
    for number in range(8):
        bases = dna(6000)
        bases = bases[:900] + bases[900:1500].lower() + "N" * 40 + bases[1500:]
        records.append(f">chr{number}\n" + "\n".join(bases[at : at + 70] for at in range(0, len(bases), 70)))
    fasta = ("\n".join(records) + "\n").encode()
    written = {
        "lower.fa.gz": gzip.compress(fasta),
        "prosa.txt": "\n\n".join(prose).encode(),
        "reads.fastq": "".join(f"@r{i}\n{dna(90)}\n+\n{'I' * 90}\n" for i in range(700)).encode(),
        "table.csv": ("id,text\n" + "".join(f"{i},{text}\n" for i, text in enumerate(prose))).encode(),
        "plain.fa": f">one\n{dna(40_000)}\n".encode(),
        "broken.fa.gz": gzip.compress(fasta)[:-900],
    }
    for name, content in written.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in written}


def combined(out: Path) -> pd.DataFrame:
    """The combined table without what depends on where it was made."""
    frame = pd.read_parquet(out / "results.parquet")
    return frame.sort_values(["condition", "metric", "state"], ignore_index=True)


@pytest.fixture(scope="module")
def undisturbed(
    book: Path, corpora: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> batch.BatchReport:
    """A run over all six."""
    out = tmp_path_factory.mktemp("undisturbed") / "report"
    return run([str(path) for path in corpora.values()], "smoke", out, book, progress=False)


@pytest.mark.slow
@pytest.mark.xdist_group("book")
class TestSixCorpora:
    def test_five_reports_and_one_clear_failure(
        self, undisturbed: batch.BatchReport, corpora: dict[str, Path]
    ) -> None:
        states = {Path(one.corpus).name: one.state for one in undisturbed.outcomes}
        assert states == {name: "failed" if name == "broken.fa.gz" else "done" for name in corpora}
        (broken,) = undisturbed.failed
        assert "broken.fa.gz is truncated" in str(broken.error)
        assert undisturbed.commands[broken.name].startswith(f"gfm run {corpora['broken.fa.gz']}@")
        for row in undisturbed.rows():
            assert (row["html"] is None) == (row["state"] == "failed")
            assert row["html"] is None or Path(row["html"]).is_file()
        assert json.dumps(undisturbed.rows())

    def test_one_table_over_everything(self, undisturbed: batch.BatchReport, corpora: dict[str, Path]) -> None:
        frame = combined(undisturbed.out)
        assert list(frame.columns) == [*COLUMNS, "report", "chapter"]
        assert frame["report"].nunique() == 5 and set(frame["chapter"]) == {"numbers"}
        assert len(pd.read_csv(undisturbed.out / "results.csv")) == len(frame)
        trained = {name for name in frame["condition"] if "@" in name}
        assert trained == set().union(*(one.conditions for one in undisturbed.outcomes if one.state == "done"))

    def test_every_condition_is_a_point_of_the_comparison(self, undisturbed: batch.BatchReport) -> None:
        assert undisturbed.html is not None
        page = undisturbed.html.read_text(encoding="utf-8")
        for name in ("lower.fa.gz", "prosa.txt", "reads.fastq", "table.csv", "plain.fa"):
            assert f"{name}@" in page
        assert page.count('id="altair-viz-') == 3
        assert "failed" in page and "is truncated" in page
        points = pd.read_parquet(undisturbed.out / "comparison.parquet")
        gains = points[points["metric"] == "context_gain_share"]
        assert len(gains) == 5 and set(gains["x"]) == {"text", "dna"}
        assert (undisturbed.out / "index.html").is_file()

    def test_the_reports_say_what_was_adapted(self, undisturbed: batch.BatchReport) -> None:
        (reads,) = [one for one in undisturbed.outcomes if "reads" in one.name]
        assert any("windows of 16 tokens instead of 64" in note for note in reads.notes)
        report = undisturbed.out / reads.name / "html" / "intro.html"
        assert "windows of 16 tokens instead of 64" in report.read_text(encoding="utf-8")
        assert undisturbed.html is not None
        assert "windows of 16 tokens instead of 64" in undisturbed.html.read_text(encoding="utf-8")

    def test_again_makes_only_what_is_missing(
        self, undisturbed: batch.BatchReport, book: Path, corpora: dict[str, Path]
    ) -> None:
        """The broken file is mended, and just that corpus is named, by the command that was given."""
        before = combined(undisturbed.out)
        path = corpora["broken.fa.gz"]
        damaged = path.read_bytes()
        path.write_bytes(corpora["lower.fa.gz"].read_bytes())
        try:
            again = run([str(path), str(corpora["plain.fa"])], "smoke", undisturbed.out, book, progress=False)
        finally:
            path.write_bytes(damaged)
        assert {Path(one.corpus).name: one.executed for one in again.outcomes} == {
            "broken.fa.gz": 1,
            "plain.fa": 0,
        }
        after = combined(undisturbed.out)
        assert after["report"].nunique() == 6
        kept = after[after["report"].isin(before["report"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, before)

    def test_a_killed_process_gives_the_same_tables(
        self,
        undisturbed: batch.BatchReport,
        book: Path,
        corpora: dict[str, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("GFM_TEST_KILL", str(tmp_path / "killed"))
        named = [str(corpora["lower.fa.gz"])]
        disturbed = run(named, "smoke", tmp_path / "out", book, tmp_path / "runs", progress=False)
        assert (tmp_path / "killed").exists() and not disturbed.failed
        assert "was killed (SIGKILL)" in capfd.readouterr().err
        found = combined(disturbed.out)
        expected = combined(undisturbed.out)
        expected = expected[expected["report"].isin(set(found["report"]))].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected)

    def test_two_runs_at_once_train_nothing_twice(
        self, book: Path, corpora: dict[str, Path], tmp_path: Path
    ) -> None:
        """Two commands with one folder of runs: both end well, and have seen the very same files."""
        base = [sys.executable, "-m", "gfm_utils.cli", "run", f"{corpora['plain.fa']}@kmer3", "--profile", "smoke"]
        base += ["--root", str(book), "--runs", str(tmp_path / "runs"), "--json"]
        done = [
            subprocess.Popen(
                [*base, "--out", str(tmp_path / name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for name in ("one", "two")
        ]
        for process in done:
            out, err = process.communicate()
            assert process.returncode == 0, err.decode()[-2000:]
            assert json.loads(out)[0]["state"] == "done"
        seen = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/*/results/members.json"))]
        assert len(seen) == 2 and seen[0] == seen[1] and len(seen[0]) == 2
        same = [combined(tmp_path / name) for name in ("one", "two")]
        pd.testing.assert_frame_equal(*same)


def test_conditions_of_one_corpus_are_one_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.fa").write_text(">a\n" + dna(30_000))
    (tmp_path / "small.fa").write_text(">a\n" + dna(2_000))
    (tmp_path / "b.txt").write_text("x" * 100)
    monkeypatch.chdir(tmp_path)
    found = by_corpus(["a.fa@kmer2", "b.txt", "./a.fa", "a.fa@kmer2", "news@bpe64", "small.fa", "no/such.fa"])
    assert found == {
        str(tmp_path / "a.fa"): (f"{tmp_path}/a.fa@kmer2", f"{tmp_path}/a.fa@kmer4"),
        str(tmp_path / "b.txt"): (f"{tmp_path}/b.txt@bpe256",),
        "news": ("news@bpe64",),
        str(tmp_path / "small.fa"): (f"{tmp_path}/small.fa@kmer2",),
        "no/such.fa": ("no/such.fa@kmer1",),
    }
    names = [jobs.report_name(corpus) for corpus in (*found, str(tmp_path / "sub" / "a.fa"))]
    assert len(set(names)) == len(names) and "news" in names


def test_the_command_names_what_is_not_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = jobs.Job("a", "a", ("a@kmer2",), "smoke", 42, tmp_path, tmp_path / "my out", tmp_path / "runs")
    assert command(job) == f"gfm run a@kmer2 --profile smoke --out '{tmp_path}/my out'"
    other = jobs.Job("a", "a", ("a@kmer2",), "smoke", 7, tmp_path / "book", tmp_path / "out", tmp_path / "r")
    assert command(other).endswith(f"--runs {tmp_path}/r --root {tmp_path}/book --seed 7")


def test_profiles_do_not_mix_and_names_are_checked_first(book: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "news"
    job = jobs.Job("news", "news", ("news@bpe64",), "smoke", 42, book, tmp_path / "out", tmp_path / "runs")
    jobs.Outcome.of(job, jobs.DONE).write(folder)
    with pytest.raises(GfmError, match=r"holds a report of profile 'smoke' and seed 42 .news.*another --out"):
        run(["plain@kmer2"], "quick", tmp_path / "out", book)
    with pytest.raises(GfmError, match="unknown profile 'smok'; did you mean 'smoke'"):
        run(["plain@kmer2"], "smok", tmp_path / "out", book)
    with pytest.raises(GfmError, match="unknown tokenizer 'kmr2'"):
        run(["plain@kmr2"], "smoke", tmp_path / "out", book)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["news"]


def test_a_report_of_another_format_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "report.json").write_text('{"name": "a", "surprise": 1}')
    assert batch.standing(tmp_path) == []
