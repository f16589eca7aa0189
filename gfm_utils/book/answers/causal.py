"""Answer of the chapter on the causal test."""

from collections.abc import Iterator

import pandas as pd

from gfm_utils.claims.claim import AGAINST, FOR, NOT_TESTED, UNDECIDED
from gfm_utils.claims.dose import DOSE_MEASURES, GAIN, LEAST_GAIN
from gfm_utils.claims.effects import (
    CHECKS,
    CODE,
    CONTRASTS,
    LESS,
    NO_GAP,
    PRIMARY,
    all_gap_parts,
    dose_effects,
    gap_parts,
    kind_of,
    settings_of,
    verdict_setting,
)
from gfm_utils.figures.dose import LABELS, NO_MATCH, NOT_RECORDED, setting_name, share_text
from gfm_utils.figures.names import cut_name
from gfm_utils.figures.numbers import listed, number, percentage
from gfm_utils.figures.summary_table import cells, markdown_table
from gfm_utils.measures.intervals import LEVEL
from gfm_utils.tokens import is_control

_SAID = {
    FOR: "as the paper says",
    AGAINST: "the other way",
    UNDECIDED: "undecided",
    NOT_TESTED: "not testable here",
}
_MOVES = {
    FOR: "moves text and DNA **as the paper says** in",
    AGAINST: "moves text and DNA **the other way** in",
    UNDECIDED: "moves text and DNA **neither way for certain** in",
    NOT_TESTED: "could not be tested here in",
}
_SHORT = {
    "js_distance": "their disagreement",
    "topk_overlap_corrected": "the neighbours that their embeddings share",
    "fisher_share": "the encoder's share of the Fisher information",
}


def causal_answer(recorded: pd.DataFrame, live: pd.DataFrame) -> str:
    """What of the gap between text and DNA is gone at equal context gain, and what this run's few doses say.

    Args:
        recorded: table of ``dose_response``, of all doses; empty where none is recorded.
        live: the same of this run's few.
    """
    return "\n".join([causal_verdicts(recorded), *_live(live)])


def causal_verdicts(recorded: pd.DataFrame) -> str:
    """The causal finding in a sentence, and as a Markdown table of the primary measures.

    Args:
        recorded: table of ``dose_response``; the verdicts are those of ``verdict_setting``, with those of other
            trainings beside them.
    """
    if recorded.empty:
        return NOT_RECORDED + "\n"
    x, every = verdict_setting(recorded), all_gap_parts(recorded)
    parts = every[every["metric"].isin(PRIMARY)]
    main = parts[parts["setting"] == x]
    effects = dose_effects(recorded, x).drop_duplicates("metric").set_index("metric")["outcome"]
    names, others = list(dict.fromkeys(main["condition"])), elsewhere(recorded, x)
    heads = [
        "Measure", *(f"of the gap to DNA ({cut_name(name)}) gone" for name in names),
        "least and most, all trainings and DNA, matched on gain", "text in random order, beside DNA as it is",
        "less predictable context moves it",
    ]  # fmt: skip
    sentences = [
        *_gains(main, recorded, x), *_against(main), *_by_code(recorded, x),
        *left_sentences(every[every["setting"] == x]),
        *frequencies_sentence(main),
    ]  # fmt: skip
    rows = [
        [
            DOSE_MEASURES[metric].text,
            *cells(main[main["metric"] == metric], "condition", names, lambda row: share_text(row, "gone")),
            _range(parts[parts["metric"] == metric]),
            _scrambled(main[main["metric"] == metric], metric),
            "<br>".join([_SAID[effects[metric]], *others.get(metric, [])]),
        ]
        for metric in PRIMARY
        if metric in effects
    ]
    table = markdown_table(heads, rows, names=len(heads))
    details = "\n".join(f"- {sentence}" for sentence in sentences)
    return f"{gap_sentence(main)}\n\n{table}\n\nTraining: {setting_name(x)}.\n\n{details}\n"


def gap_sentence(parts: pd.DataFrame) -> str:
    """The finding in one sentence (``parts``: of ``gap_parts``, in the primary measures)."""
    sentences = []
    for name, rows in parts.groupby("condition", sort=False):
        rows = rows[rows["outcome"] != NO_GAP]
        shares = [f"**{share_text(row, 'gone')}** in {_SHORT[str(row['metric'])]}" for _, row in rows.iterrows()]
        if shares:
            sentences.append(f"{listed(shares)} (DNA in {cut_name(str(name))})")
    if not sentences:
        return NO_MATCH
    return (
        "When the tokens of text are mixed until it gains as little from its context as DNA does, so much of the "
        f"gap between their models is gone: {'; '.join(sentences)}. Above {percentage(1, 0)} text has gone "
        "past DNA."
    )


def _gains(parts: pd.DataFrame, table: pd.DataFrame, x: str) -> Iterator[str]:
    """How much the models of the finding have learned: other models may have other gaps."""
    if parts.empty:
        return
    trained = _trained_gains(table, x)
    text = next(name for name, kind in kind_of(table).items() if kind == "text" and not is_control(name))
    dna = parts.drop_duplicates("condition").set_index("condition")["gain"]
    gains = " and ".join(f"{value:.2f} ({cut_name(str(name))})" for name, value in dna.items())
    yield (
        f"In these models ({setting_name(x)}) text gains {trained[text]:.2f} bits per token from its context, and "
        f"DNA {gains}; models that have read more can have other gaps, as the verdicts on the front page show."
    )


def _against(parts: pd.DataFrame) -> Iterator[str]:
    """Gaps that have the other sign than the paper says."""
    gaps = parts[parts["outcome"] != NO_GAP]
    less_in_text = gaps["metric"].map({name: bool(measure.above) for name, measure in DOSE_MEASURES.items()})
    for metric, rows in gaps[(gaps["gap"] > 0) == less_in_text].groupby("metric", sort=False):
        side = "above" if (rows["gap"] > 0).all() else "below"
        yield f"In {_SHORT[str(metric)]} text lies {side} DNA, against the paper."


def _by_code(table: pd.DataFrame, x: str) -> Iterator[str]:
    """How much is gone where a code saves as much on text as on DNA."""
    parts = gap_parts(table, x, CODE, PRIMARY)
    gaps = parts[parts["outcome"] != NO_GAP]
    if len(gaps):
        low, high = (percentage(end, 0) for end in (gaps["gone"].min(), gaps["gone"].max()))
        yield (
            f"With text of which a code, and not the models, saves as much as of DNA, {low} to {high} of these "
            "gaps is gone."
        )


def _trained_gains(table: pd.DataFrame, x: str) -> pd.Series:
    """Context gain of trained models, by condition."""
    rows = table[(table["metric"] == GAIN) & (table["x"] == x).fillna(False) & table["member"].isna()]
    return rows[(rows["state"] == "trained").fillna(False)].set_index("condition")["value"]


def left_sentences(parts: pd.DataFrame) -> Iterator[str]:
    """What the context gain does not explain: parts of gaps that are surely not 100 %, and other measures.

    Args:
        parts: of ``gap_parts``.
    """
    for name, rows in parts.groupby("condition", sort=False):
        primary = rows[rows["metric"].isin(PRIMARY) & (rows["outcome"] != NO_GAP)]
        surely = primary[(primary["gone_low"] > 1) | (primary["gone_high"] < 1)]
        others = rows[~rows["metric"].isin([*PRIMARY, *CHECKS]) & (rows["outcome"] != NO_GAP)]
        clauses = []
        if len(surely):
            named = " and ".join(_SHORT[str(metric)] for metric in surely["metric"])
            clauses.append(f"intervals exclude 100 %, so that the gain alone does not explain {named}")
        if len(others):
            kept = int((others["outcome"] == LESS).sum())
            clauses.append(f"{kept} of {len(others)} measures that are not primary surely keep more than half")
        if clauses:
            yield f"Of DNA in {cut_name(str(name))} {'; '.join(clauses)}."


def frequencies_sentence(parts: pd.DataFrame) -> Iterator[str]:
    """How many neighbours text in random order shares, beside DNA as it is (``parts``: of ``gap_parts``)."""
    metric = "topk_overlap_corrected"
    rows = parts[(parts["metric"] == metric) & parts["shuffled"].notna()]
    if len(rows):
        dna = " and ".join(
            f"{percentage(row['dna'])} in {cut_name(str(row['condition']))}" for _, row in rows.iterrows()
        )
        yield (
            f"Text in random order, of which only token frequencies can be learned, shares "
            f"{percentage(rows['shuffled'].iloc[0])} of the nearest embeddings beyond chance, DNA as it is {dna}."
        )


def _range(rows: pd.DataFrame) -> str:
    """From the least to the most of a gap that is gone, over trainings and conditions of DNA."""
    shares = rows.loc[rows["outcome"] != NO_GAP, "gone"]
    if shares.empty:
        return NO_GAP
    return f"{percentage(shares.min(), 0)} to {percentage(shares.max(), 0)}"


def _scrambled(rows: pd.DataFrame, metric: str) -> str:
    """Text in random order beside DNA as it is: what token frequencies alone do."""
    percent = DOSE_MEASURES[metric].percent
    pairs = [
        f"{number(row['shuffled'], percent)} beside {number(row['dna'], percent)}"
        for _, row in rows.iterrows()
        if pd.notna(row["shuffled"])
    ]
    return "; ".join(pairs) or "–"


def elsewhere(table: pd.DataFrame, x: str) -> dict[str, list[str]]:
    """Primary measure -> what its contrasts say in each other training that has them all."""
    verdicts: dict[str, list[str]] = {}
    for setting in (setting for setting in settings_of(table) if setting != x):
        outcomes = dose_effects(table, setting).drop_duplicates("metric").set_index("metric")["outcome"]
        for metric in (metric for metric in PRIMARY if outcomes.get(metric, NOT_TESTED) != NOT_TESTED):
            verdicts.setdefault(metric, []).append(f"{_SAID[outcomes[metric]]} ({setting_name(setting)})")
    return verdicts


def _live(table: pd.DataFrame) -> list[str]:
    """A heading and a bullet a finding of the primary measures."""
    x = verdict_setting(table)
    effects = dose_effects(table, x)
    if effects.empty:
        return ["This run, small and live: there are no doses to compare."]
    kinds = [kind for kind in LABELS if kind in set(effects["kind"])]
    alone, groups = list[str](), _by_outcome(effects)
    if not set(kinds) >= set(CONTRASTS):
        alone = [f"- only {LABELS[kinds[0]]} is made less predictable here, so there is no verdict on the paper."]
        groups = _by_sign(effects)
    return [
        f"This run, small and live ({setting_name(x)}):",
        "",
        *alone,
        *(f"- {words}: {'; '.join(names)}." for words, names in groups.items() if names),
        *_unlearned(effects, table, x),
    ]


def _by_outcome(effects: pd.DataFrame) -> dict[str, list[str]]:
    """What is said of less predictable context -> the primary measures of which it is said."""
    outcomes = effects.drop_duplicates("metric").set_index("metric")["outcome"]
    return {
        f"less predictable context {words}": [
            DOSE_MEASURES[name].text for name in PRIMARY if outcomes.get(name) == outcome
        ]
        for outcome, words in _MOVES.items()
    }


def _by_sign(effects: pd.DataFrame) -> dict[str, list[str]]:
    """The same of all measures, in the one kind of corpus that has doses."""
    measures = effects[~effects["metric"].isin(CHECKS)].groupby("metric", sort=False)
    sure = measures["p_holm"].max() <= 1 - LEVEL
    raises, lowers = sure & (measures["value"].min() > 0), sure & (measures["value"].max() < 0)
    groups = {
        "less predictable context **raises**": raises,
        "less predictable context **lowers**": lowers,
        "it moves for certain none of": ~(raises | lowers),
    }
    return {
        words: [DOSE_MEASURES[str(metric)].text for metric in moved.index[moved]]
        for words, moved in groups.items()
    }


def _unlearned(effects: pd.DataFrame, table: pd.DataFrame, x: str) -> Iterator[str]:
    """Conditions of less entropy of which nothing was learned: their contrasts compare nothing with nothing."""
    gains = _trained_gains(table, x)
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(effects["less"]) if gains.get(name, 0.0) < LEAST_GAIN)
    if names:
        yield (
            f"- nothing is learned yet from the context of {names} (below {LEAST_GAIN} bits a token), so that "
            "these say little."
        )
