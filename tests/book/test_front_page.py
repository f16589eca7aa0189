"""The front page: verdicts of the run that has learned most beside those of others."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gfm_utils.book import front_page, headline
from gfm_utils.book.front_page import Evidence
from gfm_utils.claims.effects import PRIMARY
from gfm_utils.measures.rows import member_rows
from gfm_utils.provenance import RecordedRun
from gfm_utils.tables import table, write_table

SEEDS = (1, 2, 3, 4, 5)
CLAIM = "| Models of DNA keep more of their Fisher information out of the encoder |"
SHARE = "encoder's share of the Fisher information"


def run(dna: float, share: float = 0.9, tokens: int = 1024) -> pd.DataFrame:
    """A run whose models have learned a share of the bit that counting saves, with the encoder's share in DNA."""
    rows: list[dict[str, object]] = []
    for condition, unit, level in (("t@bpe9", "bits/character", 0.2), ("d@bpe9", "bits/base", dna)):
        plain = {"condition": condition, "unit": "bits/token"}
        trained = {**plain, "state": "trained"}
        rows.append({**plain, "metric": "symbols", "value": 1.0, "unit": unit})
        rows.append({**plain, "metric": "unigram_nll", "value": 7.0})
        rows.append({**plain, "metric": "ngram_nll", "axis": "sides", "x": "both", "value": 6.0})
        rows.append({**trained, "metric": "validation_nll", "axis": "tokens", "x": tokens, "value": 6.0})
        rows += member_rows({**trained, "metric": "context_gain"}, SEEDS, np.full(5, share), 5)
        base = {**trained, "metric": "fisher_share", "unit": "share", "axis": "group", "x": "encoder"}
        rows += member_rows(base, SEEDS, level + 0.001 * np.array(SEEDS), 5)
        rows += member_rows({**base, "state": "untrained"}, SEEDS, np.full(5, 0.5), 5)
    return table(rows)


def recorded(name: str, rows: pd.DataFrame) -> RecordedRun:
    about = {"configuration": {"profile": name, "steps": 16000}, "device": "AMD; cpu", "date": "2026-11-28T10:00"}
    return RecordedRun(name, rows, about | {"command": f"gfm {name}"})


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Lines of the front page's part, of this run's rows and of recorded runs."""

    def lines(rows: pd.DataFrame, *runs: RecordedRun, profiles=()) -> list[str]:
        monkeypatch.setattr(front_page, "recorded_runs", lambda: list(runs))
        write_table(rows, tmp_path / "a.parquet")
        return front_page.verdicts_and_measures(Evidence.read(tmp_path, profiles)).splitlines()

    return lines


def line(lines: list[str], start: str) -> str:
    return next(one for one in lines if one.startswith(start))


@pytest.mark.parametrize(("dna", "word"), [(0.1, "supported"), (0.3, "not supported")])
def test_verdict_measure_null_and_link(dna: float, word: str, page) -> None:
    lines = page(run(dna))
    assert lines[0] == (
        "The verdicts are those of this run, whose models have learned 90\u00a0% of what counting saves "
        "and read 1,024 tokens each."
    )
    assert "| Claim | This run |" in lines
    assert line(lines, CLAIM) == f"{CLAIM} **{word}**<br>p < 0.001 |"
    untested = line(lines, "| Models of DNA disagree")
    assert untested.endswith("| **not tested**<br>no value of its primary measure |")
    assert line(lines, "| *d@bpe9:") == "| *d@bpe9: bits saved, beside counting or a code* | 0.90 beside 1.00 |"
    power = line(lines, "With 5 members of a condition, a difference of ")
    assert power.endswith("after the correction for all claims.")
    measure = line(lines, f"| {{ref}}`{SHARE} <fig-fisher-flow>` | *primary* | 20.3\u00a0%<br>")
    assert f"(untrained 50.0\u00a0%) | {100 * dna + 0.3:.1f}\u00a0%" in measure
    assert f"{100 * (dna - 0.2):+.1f} [" in measure and measure.endswith("p < 0.001 |")


def test_the_run_that_has_learned_most_gives_the_verdicts(page) -> None:
    """A recorded run, with this one and another beside it; one of other conditions is not."""
    other = run(0.3, 0.95).assign(condition=lambda rows: rows["condition"].str.replace("d@", "e@"))
    runs = recorded("brief", run(0.3, 0.6)), recorded("long", run(0.3, 0.8, 16 * 10**6)), recorded("other", other)
    lines = page(run(0.1, 0.3), *runs)
    assert lines[0] == (
        "The verdicts are those of the recorded run of 2026-11-28 (`gfm long`), whose models have learned "
        "80\u00a0% of what counting saves and read 16.0 million tokens each."
    )
    title = "Recorded run {} (16,000 steps, CPU)"
    assert f"| Claim | {title.format('long')} | {title.format('brief')} | This run |" in lines
    cells = line(lines, CLAIM).removeprefix(CLAIM).split(" | ")
    assert "**not supported**" in cells[0] and "**not supported**" in cells[1]
    assert cells[2] == "**too little learned to test** |"  # the numbers are in the last lines
    assert line(lines, "| *t@bpe9:").endswith("| 0.80 beside 1.00 | 0.60 beside 1.00 | 0.30 beside 1.00 |")
    assert "30.3\u00a0%" in line(lines, f"| {{ref}}`{SHARE}")
    alone = line(page(run(0.1, 0.3)), CLAIM)
    assert alone.endswith("learned to test**<br>t@bpe9: 0.30 beside 1.00<br>d@bpe9: 0.30 beside 1.00 |")


def test_of_two_that_have_learned_the_same_the_one_that_has_read_more_comes_first() -> None:
    runs = {"little": run(0.1, 1.2, 100), "much": run(0.1, 1.1, 200), "less": run(0.1, 0.5, 900)}
    unknown = runs["little"][runs["little"]["metric"] != "ngram_nll"]
    assert list(front_page.most_learned({"unknown": unknown, **runs})) == ["much", "little", "less", "unknown"]


def test_values_stand_in_the_order_of_the_heading(page) -> None:
    """Also where a condition lacks one of the measures."""
    rows = run(0.1)
    spearman = {"metric": "local_spearman", "axis": "k", "x": "100"}
    more = rows[rows["condition"] == "d@bpe9"].assign(condition="e@kmer2")
    more.loc[more["metric"] == "fisher_share", list(spearman)] = list(spearman.values())
    text = rows[(rows["metric"] == "fisher_share") & (rows["condition"] == "t@bpe9")].assign(**spearman)
    lines = page(pd.concat([rows, more, text]))
    order = line(lines, "| Claim, and what").partition("| DNA<br>")[2].partition(" |")[0].split(", ")
    for start, values in (
        (f"| {{ref}}`{SHARE}", {"d@bpe9": "10.3\u00a0%", "e@kmer2": "–"}),
        ("| {ref}`local Spearman among the 100 nearest", {"d@bpe9": "–", "e@kmer2": "0.103"}),
    ):
        cells = line(lines, start).split(" | ")[3].partition("<br>")[0].split(", ")
        assert dict(zip(order, cells, strict=True)) == values


@pytest.mark.parametrize(("dna", "word"), [(0.1, "yes"), (0.3, "no")])
def test_the_front_page_has_a_number_and_a_word(dna: float, word: str, tmp_path: Path, monkeypatch) -> None:
    """Of the run that has learned most; this run, which has learned too little, beside it."""
    runs = [recorded("long", run(dna, 0.8, 16 * 10**6))]
    monkeypatch.setattr(front_page, "recorded_runs", lambda: runs)
    write_table(run(0.1, 0.3), tmp_path / "a.parquet")
    lines = front_page.front_page_claims(Evidence.read(tmp_path)).splitlines()
    assert lines[1:3] == [
        "| The paper says | t | d | This run:<br>text / DNA | Is it so? |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    encoder = line(lines, CLAIM.removesuffix(" |")).split(" | ")
    assert encoder[0].endswith(f"<br>{{ref}}`{SHARE} <fig-fisher-flow>`")
    text, of_dna = (f"{{ref}}`{value}\u00a0% <why-fisher_share>`" for value in ("20", f"{100 * dna:.0f}"))
    own = " / ".join(f"{{ref}}`{value}\u00a0% <why-fisher_share-here>`" for value in (20, 10))
    assert encoder[1:] == [text, of_dna, f"{own}<br>*too little learned to test*", f"**{word}** |"]
    assert line(lines, "| Models of DNA disagree").endswith("| – | – | – / – | **not tested** |")
    assert lines[-1].startswith("Numbers and verdicts are those of a recorded run of 2026-11-28;")


def test_where_some_dna_differs_and_other_does_not_it_depends(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(front_page, "recorded_runs", list)
    rows = run(0.1)
    other = rows[rows["condition"] == "d@bpe9"].assign(condition="d@kmer2")
    other.loc[other["metric"] == "fisher_share", ["value", "low", "high"]] += 0.4
    write_table(pd.concat([rows, other]), tmp_path / "a.parquet")
    lines = front_page.front_page_claims(Evidence.read(tmp_path)).splitlines()
    assert lines[1] == "| The paper says | t | d:<br>BPE of 9 · 2-mers | Is it so? |"
    assert line(lines, CLAIM.removesuffix(" |")).endswith(
        " | {ref}`20\u00a0% <why-fisher_share>` | {ref}`10\u00a0% · 50\u00a0% <why-fisher_share>` | **depends** |"
    )


def test_the_sentences_of_the_front_page_have_their_numbers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(front_page, "recorded_runs", list)
    write_table(run(0.1, tokens=2048), tmp_path / "a.parquet")
    numbers = front_page.front_page_numbers(Evidence.read(tmp_path, {"smoke"}))
    assert numbers["tokens"] == "2,048"
    assert numbers["corpora"] == "- **t**, cut into BPE of 9.\n- **d**, cut into BPE of 9."
    intro = (Path(front_page.__file__).parents[2] / "intro.md").read_text("utf-8")
    assert set(re.findall(r"{{ (\w+) }}", intro)) <= set(numbers)
    share = r"1?\d\d\u00a0% \[\d+\u00a0%, \d+\u00a0%\]"
    assert all(re.fullmatch(share, numbers[f"gone_{name}"]) for name in PRIMARY)


def test_a_run_that_says_nothing_says_so(page) -> None:
    """Of the profile smoke, or without text."""
    rows = run(0.1)
    for profile in ("smoke", "quick"):
        said = "numbers say nothing about a corpus or a claim" in "\n".join(page(rows, profiles={profile}))
        assert said == (profile == "smoke")
    (alone,) = page(rows[rows["condition"] == "d@bpe9"], recorded("long", rows))
    assert "no text" in alone


def test_recorded_differences_stand_beside_what_would_change_our_mind(monkeypatch) -> None:
    monkeypatch.setattr(headline, "recorded_runs", lambda: [recorded("long", run(0.1))])
    said = headline.recorded_differences("fisher_share").data
    assert "*Recorded run long (16,000 steps, CPU)*" in said and f"- {SHARE}: d@bpe9 -10.0 [-10." in said
    monkeypatch.setattr(headline, "recorded_runs", list)
    assert headline.recorded_differences("fisher_share").data == "No run with these measures is recorded."
