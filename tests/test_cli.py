"""The command as a user calls it: its rows, and one clear sentence for whatever the user can mend."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gfm_utils import book, cli, provenance, tables
from gfm_utils.book import jobs
from gfm_utils.claims import forecast
from gfm_utils.ensembles.checks import Check
from gfm_utils.entropy.sources import uniform
from gfm_utils.tables import COLUMNS

RNG = np.random.default_rng(0)
DNA = "".join(RNG.choice(list("ACGT"), 8000))


def test_corpora_rows(gfm):
    status, out, _ = gfm("corpora", "--json")
    rows = json.loads(out)
    assert status == 0
    assert {"tair10-chr1", "news", "enwiki-sample"} <= {row["name"] for row in rows}
    assert all({"kind", "licence", "cached"} <= set(row) for row in rows)
    assert "tair10-chr1" in gfm("corpora")[1]


def test_entropy_rows_follow_the_contract_and_are_recorded(gfm, toy_fasta, tmp_path):
    """Of a corpus whose path looks like a condition, too."""
    path, out_dir = tmp_path / "my@file+shuffle.fa", tmp_path / "both"
    path.write_bytes(toy_fasta.read_bytes()[:9000])
    given = ["--symbols", 3000, "--tokenizer", "kmer2", "--profile", "smoke", "--runs", tmp_path]
    status, out, err = gfm("entropy", path, toy_fasta, *given, "--out", out_dir, "--json")
    assert status == 0, err
    rows = json.loads(out)
    extra = {"estimator", "kind", "order", "se", "trusted"}
    assert all(set(row) == set(COLUMNS) | extra for row in rows)
    names = {path.name, f"{path}@kmer2", toy_fasta.name, f"{toy_fasta}@kmer2"}
    assert {row["condition"] for row in rows} == names
    assert {row["kind"] for row in rows if row["metric"] == "code_length"} == {"upper bound"}
    assert {row["unit"] for row in rows if row["metric"] == "unigram_entropy"} == {"bits/base", "bits/token"}
    frame = pd.read_parquet(out_dir / "both.parquet")
    assert len(frame) == len(rows) and set(frame.loc[frame["metric"] == "code_length", "n"]) == {3000}
    about = json.loads((out_dir / "provenance.json").read_text())
    assert about["command"].startswith("gfm entropy") and about["configuration"]["symbols"] == 3000
    assert {"commit", "device", "versions", "date", "seconds"} <= set(about)


def test_forecast_rows_are_valid_json_and_what_is_outside_of_the_atlas_is_said(gfm, tmp_path, monkeypatch):
    numbers = {"counting_gain": 0.2, "entropy_share": 0.9}
    monkeypatch.setattr(forecast, "counted", lambda corpus, *_: (numbers, ("windows of 16 tokens",)))
    status, out, err = gfm("forecast", "my.fa", "--json", "--runs", tmp_path)
    rows = {row["metric"]: row for row in json.loads(out)}
    assert status == 0 and "my.fa, the models that are forecast: windows of 16 tokens" in err
    assert 0.02 < rows["context_gain"]["low"] < rows["context_gain"]["value"] < rows["context_gain"]["high"] < 0.5
    assert rows["counting_gain"]["value"] == 0.2 and rows["counting_gain"]["mean_value"] is None
    assert "my.fa" in gfm("forecast", "my.fa", "--runs", tmp_path)[1]
    numbers["entropy_share"] = 2.0
    status, out, err = gfm("forecast", "my.fa", "--json", "--runs", tmp_path)
    assert {row["outcome"] for row in json.loads(out)} == {"counted", "outside of the atlas"}
    assert "shortest code of the corpus" in err and "2.000" in err
    assert gfm("forecast", "my.fa@kmer4")[2].endswith("give the corpus alone\n")
    assert gfm("entropy", tmp_path / "my.fa@kmer4")[2].endswith(
        "my.fa@kmer4: --tokenizer names what a corpus is cut by; give the corpus alone\n"
    )
    assert "kmre4" in gfm("forecast", "my.fa@kmre4")[2]
    monkeypatch.undo()
    status, out, err = gfm("forecast", tmp_path / "none.fa", "--runs", tmp_path)
    assert status == 1 and err.startswith("gfm: ") and "none.fa" in err and not out


def test_bits_by_class_of_a_genome_of_ones_own(gfm, toy_fasta, tmp_path):
    record = toy_fasta.read_text().split()[0][1:]
    genes = tmp_path / "genes.gff3"
    genes.write_text(
        f"##gff-version 3\n{record}\t.\tgene\t100\t900\t.\t+\t.\tID=g\n"
        f"{record}\t.\tmRNA\t100\t900\t.\t+\t.\tID=t;Parent=g\n"
        f"{record}\t.\tCDS\t100\t900\t.\t+\t0\tParent=t\n"
    )
    status, out, _ = gfm("entropy", toy_fasta, "--annotation", genes, "--profile", "smoke", "--json")
    found = {row["x"]: row["n"] for row in json.loads(out) if row["metric"] == "feature_code_length"}
    assert status == 0 and found["coding"] == 801
    status, _, err = gfm("entropy", toy_fasta, toy_fasta, "--annotation", genes)
    assert status == 1 and "one DNA corpus" in err


def test_calibration_is_recorded(gfm, tmp_path, monkeypatch):
    monkeypatch.setattr("gfm_utils.entropy.calibration.every_source", lambda: [uniform()])
    monkeypatch.setattr("gfm_utils.entropy.calibration.SIZES", (500, 1000))
    status, out, _ = gfm("calibrate", "--repeats", 2, "--out", tmp_path / "cal", "--json")
    assert status == 0 and {row["condition"] for row in json.loads(out)} == {"uniform_4"}
    about = json.loads((tmp_path / "cal" / "provenance.json").read_text())
    assert about["configuration"]["sources"] == ["uniform_4"]
    assert (tmp_path / "cal" / "cal.parquet").exists()


def test_train_rows_and_a_second_run(gfm, toy_fasta, tmp_path):
    arguments = ["train", f"{toy_fasta}@kmer2", "--profile", "smoke", "--members", "1", "--runs", tmp_path]
    status, out, _ = gfm(*arguments, "--json")
    rows = json.loads(out)
    assert status == 0 and all(set(row) == set(COLUMNS) for row in rows)
    assert {row["member"] for row in rows} == {1, None}
    written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("member-00/*")}
    status, out, _ = gfm(*arguments)
    assert status == 0 and "member-00" in out.replace("\n", "")
    assert written == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("member-00/*")}


def test_a_dry_run_gives_rows_and_trains_nothing(gfm, toy_fasta, tmp_path, threads_for_processes):
    arguments = ["train", f"{toy_fasta}@kmer2", "--profile", "smoke", "--members", "1", "--runs", tmp_path]
    status, out, _ = gfm(*arguments, "--dry-run", "--devices", "3", "--json")
    rows = json.loads(out)
    assert status == 0 and all(set(row) == set(COLUMNS) for row in rows)
    assert {row["metric"] for row in rows} == {"training_time", "device_time", "device_memory", "disk"}
    assert all(row["value"] > 0 and row["n"] == 1 for row in rows)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["entropy", "tair10-chr"], "did you mean 'tair10-chr1'"),
        (["fetch", "nwes"], "did you mean 'news'"),
        (["train", "news@bpe64", "--profile", "quikc"], "did you mean 'quick'"),
        (["train", "news@wordpiece"], "unknown tokenizer 'wordpiece'"),
        (["train", "news"], "corpus@tokenizer"),
        (["train", "news@bpe64", "--vary", "mask"], "did you mean 'masks'"),
        (["train", "news@bpe64", "--engine", "rey"], "did you mean 'ray'? (known: local, ray)"),
        (["train", "news@bpe64", "--engine", "rey", "--dry-run"], "unknown engine 'rey'"),
        (["train", "news@bpe64", "--steps", "10", "--tokens", "1000"], "both steps and tokens"),
        (["train", "TEXT@kmer3", "--profile", "smoke"], "kmer3"),
        (["entropy", "no/such/file.fa"], "no/such/file.fa"),
        (["build", "--profile", "quikc"], "did you mean 'quick'"),
        (["build", "--chapter", "fischer"], "did you mean 'fisher'"),
        (["build", "--condition", "news@kmer"], "unknown tokenizer"),
    ],
)
def test_wrong_names_suggest_right_ones(gfm, tmp_path, arguments, expected, toy_text):
    arguments = [word.replace("TEXT", str(toy_text)) for word in arguments]
    arguments += ["--runs", tmp_path / "runs"] * (arguments[0] in ("train", "build"))
    arguments += ["--out", tmp_path / "out"] * (arguments[0] == "build")
    status, out, err = gfm(*arguments)
    assert status == 1 and out == "" and not ("--engine" in arguments and (tmp_path / "runs").exists())
    assert expected in err and "Traceback" not in err


@pytest.mark.slow
def test_no_network_and_an_empty_cache(tmp_path):
    """A real process, with pip pointed at nothing: one sentence, and nothing in the cache."""
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GFM_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null",
    }  # fmt: skip
    command = [sys.executable, "-m", "gfm_utils.cli", "fetch", "news"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    (sentence,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert sentence.startswith("gfm: ") and "news" in sentence
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_a_batch_with_a_failure_says_which_why_and_how_to_make_just_that(gfm, monkeypatch, tmp_path):
    asked = []

    def made(given, profile, out, root, runs, seed, *more):
        asked.extend([given, profile, *more])
        good = jobs.Outcome("good", "good", ("good@kmer2",), profile, seed)
        bad = replace(good, name="bad.fa-1", error="is damaged", command="gfm run /x/bad.fa")
        return book.BatchReport(out, [good, bad], None)

    monkeypatch.setattr(book, "run", made)
    status, out, err = gfm("run", "good", "bad.fa@kmer2", "--profile", "smoke", "--jobs", 3, "--json")
    assert asked == [["good", "bad.fa@kmer2"], "smoke", 3, "local", True]
    assert status == 1 and [row["state"] for row in json.loads(out)] == ["done", "failed"]
    assert "1 of 2 reports failed" in err and "bad.fa-1: is damaged" in err and "again: gfm run /x/bad.fa" in err


def test_the_doctor_says_what_is_broken_and_whether_training_works(gfm, monkeypatch, tmp_path):
    found = [
        Check("device", "slow", "no GPU that answers", "install its driver"),
        Check("versions", "broken", "torch 1.0", "pip install torch"),  # which training does without
    ]
    monkeypatch.setattr("gfm_utils.ensembles.doctor.examine", lambda runs: iter(found))
    status, out, _ = gfm("doctor", "--runs", tmp_path)
    lines = out.splitlines()
    assert status == 0 and len(lines) == 3 and lines[-1].startswith("training works on this machine")
    assert lines[0].index("no GPU") == lines[1].index("torch 1.0")
    found.append(Check("runs", "broken", "/dev/null is no folder", "give another", needed=True))
    status, out, err = gfm("doctor", "--json")
    assert status == 1 and json.loads(out) == [check.row() for check in found]
    assert err == "gfm: training does not work on this machine; broken: runs\n"

    monkeypatch.setitem(sys.modules, "gfm_utils.ensembles.doctor", None)
    status, out, err = gfm("doctor")
    assert status == 1 and out == "" and "packages cannot be loaded" in err and "Traceback" not in err


@pytest.mark.parametrize(("notes", "steps"), [([], 20), (["the profile was fitted to the corpora"], None)])
def test_a_recorded_build_is_a_whole_run(gfm, monkeypatch, tmp_path, notes, steps):
    """Of which the front page makes a column; its steps are not known where the corpora lowered them."""
    table = tables.table([{"condition": "t@bpe9", "metric": "nll", "unit": "bits/token", "value": 1.0}])
    tables.write_table(table, tmp_path / "results" / "predictions.parquet")
    done, results = {"predictions": "executed"}, tmp_path / "results"
    report = book.BuildReport("smoke", ("t@bpe9",), done, 1.0, results, None, True, notes)
    monkeypatch.setattr(book, "build", lambda *given, **more: report)
    root, out = Path(cli.__file__).parents[1], tmp_path / "brief"
    status, _, err = gfm("build", "--profile", "smoke", "--root", root, "--out", tmp_path / "b", "--record", out)
    assert status == 0, err
    about = json.loads((out / "provenance.json").read_text())
    assert provenance.is_whole_run(about) and about["configuration"]["steps"] == steps
    assert about["configuration"]["chapters"] == ["predictions"]
    assert len(pd.read_parquet(out / "brief.parquet")) == 1
