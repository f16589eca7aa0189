"""Answer of the chapter on the causal test."""

from collections.abc import Iterator

import pandas as pd

from gfm_utils.analyses.claims import AGAINST, FOR, NOT_TESTED, UNDECIDED
from gfm_utils.analyses.dose import GAIN, LEAST_GAIN, MEASURES
from gfm_utils.analyses.effects import (
    CHECKS,
    CONTRASTS,
    PRIMARY,
    Contrasts,
    dose_effects,
    kind_of,
    matched_rests,
    plain_only,
    settings_of,
    verdict_setting,
)
from gfm_utils.analyses.intervals import LEVEL
from gfm_utils.figures.dose import KINDS, LEFT, dna_name, ratio_text, setting_name
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


def causal_answer(recorded: pd.DataFrame, live: pd.DataFrame) -> str:
    """What more entropy does, and what is left of DNA's own, in the recorded runs and in this one.

    Args:
        recorded: table of ``dose_response``, of all doses.
        live: the same of this run's few.
    """
    lines = [*_lines("Recorded runs", recorded, CONTRASTS), "", *_lines("This run, smaller", live, CONTRASTS)]
    return "\n".join(lines)


def causal_verdicts(recorded: pd.DataFrame) -> str:
    """The causal verdicts as a Markdown table for the front page: each primary measure, its outcome, and the rest.

    Args:
        recorded: table of ``dose_response``; the verdicts are those of ``verdict_setting``, with those of other
            trainings beside them.
    """
    x = verdict_setting(recorded)
    effects = dose_effects(recorded, x).drop_duplicates("metric").set_index("metric")["outcome"]
    plain = plain_only(matched_rests(recorded, x))
    names = list(dict.fromkeys(plain["condition"]))
    heads = ["Measure", "With less predictable context", "In other trainings"]
    heads += [f"DNA (`{dna_name(name)}`) beside text of equal context gain" for name in names]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    found, others = plain.set_index(["metric", "condition"]), elsewhere(recorded, x, CONTRASTS)
    for metric in (metric for metric in PRIMARY if metric in effects):
        cells = [_beside(found.loc[metric, name]) if (metric, name) in found.index else "–" for name in names]
        other = "<br>".join(others.get(metric, [])) or "–"
        lines.append(f"| {' | '.join([MEASURES[metric].text, _SAID[effects[metric]], other, *cells])} |")
    return "\n".join(lines) + "\n"


def elsewhere(table: pd.DataFrame, x: str, contrasts: Contrasts) -> dict[str, list[str]]:
    """Primary measure -> what its contrasts say in each other training that has them all."""
    found: dict[str, list[str]] = {}
    for setting in (setting for setting in settings_of(table) if setting != x):
        outcomes = dose_effects(table, setting, contrasts).drop_duplicates("metric").set_index("metric")["outcome"]
        for metric in (metric for metric in PRIMARY if outcomes.get(metric, NOT_TESTED) != NOT_TESTED):
            found.setdefault(metric, []).append(f"{_SAID[outcomes[metric]]} ({setting_name(setting)})")
    return found


def _beside(row: pd.Series) -> str:
    """What is left at equal gain, with DNA's share of what text has."""
    share = ratio_text(row)
    return LEFT[row["outcome"]] + ("" if share == "–" else f": {share} of text's")


def _lines(heading: str, table: pd.DataFrame, contrasts: Contrasts) -> list[str]:
    """A heading and a bullet a finding, the primary measures first."""
    there = [kind for kind in KINDS if kind in kind_of(table).values()]
    none = [f"{heading}: there are no doses to compare."]
    if table.empty:
        return none
    x = verdict_setting(table, contrasts)
    effects = dose_effects(table, x, contrasts)
    if effects.empty:
        return none
    lines = [f"{heading} ({setting_name(x)}):", ""]
    lines += _primary(effects) if len(there) == len(KINDS) else _of_one(effects, KINDS[there[0]])
    lines += _unlearned(effects, table, x)
    plain = plain_only(matched_rests(table, x))
    kinds = kind_of(table)
    if (
        plain.empty
        and len(there) == len(KINDS)
        and any(not is_control(name) for name in kinds if kinds[name] == "dna")
    ):
        lines.append("- no text gains as little, or as much, as DNA as it is, so nothing is matched.")
    for condition, rows in plain.groupby("condition", sort=False):
        said = [
            f"{MEASURES[str(row['metric'])].text}: **{_beside(row)}**"
            for _, row in rows.iterrows()
            if row["metric"] in PRIMARY
        ]
        floors = ", above what random order gives," if rows["ratio"].notna().any() else ""
        name = dna_name(str(condition))
        lines.append(f"- beside text of the same context gain{floors} DNA (`{name}`): {'; '.join(said)}.")
    for metric, said in elsewhere(table, x, contrasts).items():
        lines.append(f"- in other trainings, {MEASURES[metric].text}: {'; '.join(said)}.")
    return lines + (_exploratory(effects) if len(there) == len(KINDS) else [])


def _primary(effects: pd.DataFrame) -> list[str]:
    """Which primary measures move as the paper says, a bullet a verdict."""
    return [f"- less predictable context {words}: {names}." for words, names in _by_verdict(effects, primary=True)]


def _exploratory(effects: pd.DataFrame) -> list[str]:
    """The same of all others, in one bullet."""
    said = [f"{words}: {names}" for words, names in _by_verdict(effects, primary=False)]
    return (
        [f"- among the exploratory measures, whose p-values are not corrected, it {'. It '.join(said)}."]
        if said
        else []
    )


def _by_verdict(effects: pd.DataFrame, primary: bool) -> Iterator[tuple[str, str]]:
    outcomes = effects.drop_duplicates("metric").set_index("metric")["outcome"]
    for outcome, words in _MOVES.items():
        names = [
            MEASURES[str(metric)].text
            for metric in outcomes.index[outcomes == outcome]
            if metric not in CHECKS and (metric in PRIMARY) == primary
        ]
        if names:
            yield words, "; ".join(names)


def _of_one(effects: pd.DataFrame, kind: str) -> list[str]:
    """What moves in the one kind of corpus that there is."""
    own = effects[~effects["metric"].isin(CHECKS)]
    told = own.groupby("metric", sort=False).agg(
        worst=("p_holm", "max"), least=("value", "min"), most=("value", "max")
    )
    sure = told["worst"] <= 1 - LEVEL
    groups = {"raises": sure & (told["least"] > 0), "lowers": sure & (told["most"] < 0)}
    lines = [f"- there is only {kind} here, so there is no verdict on the paper."]
    for word, chosen in groups.items():
        names = [MEASURES[str(metric)].text for metric in told.index[chosen]]
        if names:
            lines.append(f"- less predictable context **{word}**: {'; '.join(names)}.")
    left = [MEASURES[str(metric)].text for metric in told.index[~(groups["raises"] | groups["lowers"])]]
    return [*lines, *([f"- it moves for certain none of: {'; '.join(left)}."] if left else [])]


def _unlearned(effects: pd.DataFrame, table: pd.DataFrame, x: str) -> list[str]:
    """Conditions of less entropy of which nothing was learned: their contrasts compare nothing with nothing."""
    gains = table[(table["metric"] == GAIN) & (table["x"] == x).fillna(False) & table["member"].isna()]
    values = gains[(gains["state"] == "trained").fillna(False)].set_index("condition")["value"]
    names = [name for name in dict.fromkeys(effects["less"]) if values.get(name, 0.0) < LEAST_GAIN]
    if not names:
        return []
    listed = ", ".join(f"`{name}`" for name in names)
    return [
        f"- nothing is learned yet from the context of {listed} (below {LEAST_GAIN} bits a token), so that these "
        "say little."
    ]
