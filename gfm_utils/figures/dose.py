"""Charts and tables of the causal test: measures over doses, effects, parts of the gap, the tokenizer sweep."""

from collections.abc import Iterable
from itertools import pairwise

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.analyses.claims import AGAINST, FOR, NOT_TESTED, UNDECIDED
from gfm_utils.analyses.dose import AXIS, DOSE_MEASURES, GAIN
from gfm_utils.analyses.effects import (
    CHECKS,
    NO_GAP,
    PRIMARY,
    keeps_counts,
    kind_of,
    settings_of,
    verdict_setting,
)
from gfm_utils.analyses.intervals import LEVEL
from gfm_utils.figures.comparison import KINDS
from gfm_utils.figures.numbers import difference, number, percentage
from gfm_utils.figures.select import rows_of, summaries, with_span
from gfm_utils.figures.style import COLOURS, dropdown, stroke_legend, themed, tooltips
from gfm_utils.tokens import SPECIAL, Condition

#: What stands to the right: name in the data -> title of the axis.
ACROSS = {
    "gain": "context gain, bits per token",
    "per_symbol": "entropy, bits per base or character",
    "per_token": "entropy, bits per token",
}
#: The measures of the main figure, one for each of the paper's claims.
MAIN = ("output_entropy_share", "js_distance", "topk_overlap_corrected", "fisher_share")
#: What is said where there is no recorded run, and where text and DNA have no gain in common.
NOT_RECORDED = "The causal test is not recorded yet: `python benchmarks/dose_response.py` records it."
NO_MATCH = "No text of this run gains as little, or as much, as its DNA does: nothing is matched."
#: What the contrasts say of a measure, for people.
SAID = {FOR: "yes", AGAINST: "**no, the opposite**", UNDECIDED: "undecided", NOT_TESTED: "not testable here"}
#: State of the rows that draw the line through the doses of text, straight where the match is.
LINE = "line"
#: What the sweep's chart can show: metric and unit -> name.
SWEPT = {
    ("kl_share", "share"): "KL from uniform, share of log2 V",
    ("kl_from_uniform", "bits/token"): "KL from uniform, bits per token",
    ("output_entropy", "bits/base"): "output entropy, bits per base",
    ("nll", "bits/base"): "loss, bits per base",
    ("context_gain", "bits/base"): "context gain, bits per base",
}


def dose_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row a condition, budget and model, measure, and state, with what it can be drawn against.

    Args:
        table: of ``dose_response``.

    Returns:
        ``condition``, ``dose`` (its transform), ``kind``, ``setting``, ``metric``, ``measure`` (for people),
        ``state``, ``value``, ``low``, ``high``, the columns of ``ACROSS``, and the ends of the gain's interval.
    """
    rows = summaries(rows_of(table, *_measured(table), axis=AXIS, numeric=False))
    rows = with_span(rows).rename(columns={"x": "setting"})
    gains = rows[(rows["metric"] == GAIN) & (rows["state"] == "trained")]
    gains = gains.set_index(["condition", "setting"])
    keys = list(zip(rows["condition"], rows["setting"], strict=True))
    for column, end in (("gain", "value"), ("gain_low", "low"), ("gain_high", "high")):
        rows[column] = [gains[end].get(key) for key in keys]
    for metric, column in (("entropy_rate", "per_symbol"), ("entropy_per_token", "per_token")):
        rates = table[table["metric"] == metric].set_index("condition")["value"]
        rows[column] = rows["condition"].map(rates)
    rows["kind"] = rows["condition"].map(kind_of(table)).map(KINDS)
    rows["dose"] = rows["condition"].map(dose_name)
    rows["measure"] = rows["metric"].map(lambda name: DOSE_MEASURES[name].text)
    rows["setting"] = rows["setting"].map(setting_name)
    return rows[[
        "condition", "dose", "kind", "setting", "metric", "measure", "state", "value", "low", "high", *ACROSS,
        "gain_low", "gain_high",
    ]]  # fmt: skip


def _measured(table: pd.DataFrame) -> list[str]:
    there = set(table["metric"])
    return [name for name in DOSE_MEASURES if name in there]


def dose_name(condition: str) -> str:
    """The transform of a condition, ``as it is`` without one."""
    return Condition.parse(condition).transform or "as it is"


def setting_name(x: str) -> str:
    """Budget and model for people: ``750 steps, modernbert-2x64``, and the run if it is not the last."""
    steps, *rest = x.split("|")
    return ", ".join([f"{int(steps):,} steps", *rest])


def _joined(rows: pd.DataFrame) -> pd.Series:
    """Which rows a line joins: trained models of text, with its counts of tokens."""
    text = (rows["kind"] == KINDS["text"]) & (rows["state"] == "trained")
    return text & rows["condition"].map(keeps_counts).astype(bool)


def _with_line(rows: pd.DataFrame, across: str) -> pd.DataFrame:
    """The rows, and those of the line through text's noise: straight between doses, whatever the axis."""
    lines = []
    for _, own in rows[_joined(rows)].groupby(["measure", "setting"], sort=False):
        own = own.sort_values(across)
        at = own[across].to_numpy("float64")
        fine = np.unique(np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(at)] or [at]))
        names = {name: own[name].iloc[0] for name in ("kind", "setting", "metric", "measure")}
        values = np.interp(fine, at, own["value"].to_numpy("float64"))
        lines.append(pd.DataFrame({**names, "state": LINE, across: fine, "value": values}))
    return pd.concat([rows, *lines], ignore_index=True)


def _layers(
    base: alt.Chart,
    across: str,
    across_title: str,
    ends: tuple[str, str],
    line: str | None,
    nulls: bool = True,
    named: bool = True,
) -> list[alt.Chart]:
    """Intervals, line through text's noise, null and point of every condition, and names of the plain ones.

    A layer without a row would make Vega complain: where there is no line, no null or no plain condition, it is
    left out.
    """
    scale_x, axis_x = alt.Scale(zero=False, padding=14), alt.Axis(tickCount=6)
    if across == "gain":  # most conditions lie between 0 and 0.3 bits
        scale_x = alt.Scale(type="symlog", constant=0.1, zero=False, padding=14, nice=False)
        axis_x = alt.Axis(values=[0, 0.1, 0.3, 1, 3], format="~g")
    x = alt.X(f"{across}:Q", title=across_title, scale=scale_x, axis=axis_x)
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format="~r", tickCount=5))
    scale = alt.Scale(domain=list(KINDS.values()), range=list(COLOURS[:2]))
    colour = alt.Color("kind:N", title=None, scale=scale)
    tips: list[str | alt.Tooltip] = [
        "condition", "state", *tooltips("value", "low", "high", text=".3~r"), *tooltips(*ACROSS, text=".3f")
    ]  # fmt: skip
    trained = base.transform_filter("datum.state == 'trained'").encode(x=x, y=y, color=colour)
    null = base.transform_filter(f"datum.state != 'trained' && datum.state != '{LINE}'")
    null = null.mark_point(shape="stroke", size=90, opacity=0.6, strokeWidth=1.5)
    null = null.encode(x=x, y=y, color=colour, tooltip=tips)
    joined = base.transform_filter(line or "false").mark_line(strokeWidth=1.5, opacity=0.6)
    names = trained.transform_filter("datum.dose == 'as it is'").mark_text(align="left", dx=8, dy=-6, fontSize=11)
    return [
        *([joined.encode(x=x, y=y, color=colour, order=f"{across}:Q")] if line else []),
        trained.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
        trained.mark_rule(strokeWidth=2).encode(x=alt.X(f"{ends[0]}:Q", title=across_title), x2=f"{ends[1]}:Q"),
        *([null] if nulls else []),
        trained.mark_point(filled=True, size=70, opacity=1).encode(tooltip=tips),
        *([names.encode(text="kind:N")] if named else []),
    ]


def main_chart(table: pd.DataFrame) -> alt.VConcatChart | Markdown:
    """Four measures, one for each of the paper's claims, against the context gain, where the verdicts are made.

    Args:
        table: of ``dose_response``; of an empty one a sentence says that nothing is recorded.
    """
    if table.empty:
        return Markdown(NOT_RECORDED)
    rows = dose_rows(table)
    rows = rows[rows["metric"].isin(MAIN) & (rows["setting"] == setting_name(verdict_setting(table)))]
    rows = _with_line(rows[rows["state"].isin(["trained", "untrained"])], "gain")  # other nulls are far away
    ends, line, charts = ("gain_low", "gain_high"), f"datum.state == '{LINE}'", []
    for name in (name for name in MAIN if name in set(rows["metric"])):
        own = rows[rows["metric"] == name]
        nulls = bool((own["state"] == "untrained").any())
        layers = _layers(alt.Chart(own), "gain", ACROSS["gain"], ends, line, nulls)
        title = alt.TitleParams(DOSE_MEASURES[name].text, fontSize=12, fontWeight="normal")
        charts.append(alt.layer(*layers).properties(width=290, height=150, title=title))
    return themed(alt.vconcat(*charts))


def dose_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """Any measure against context gain or entropy: the reader chooses measure, axis, budget and model.

    Args:
        table: of ``dose_response``; of an empty one a sentence says that nothing is recorded.
    """
    if table.empty:
        return Markdown(NOT_RECORDED)
    rows = dose_rows(table)
    rows["joined"] = _joined(rows)
    settings = [setting_name(x) for x in settings_of(table)]
    measures = [DOSE_MEASURES[name].text for name in _measured(table)]
    have = set(zip(rows["measure"], rows["setting"], strict=True))
    lacking = pd.DataFrame(
        [(measure, setting) for measure in measures for setting in settings if (measure, setting) not in have],
        columns=["measure", "setting"],
    )
    measures.sort(key=lambda text: text != DOSE_MEASURES["fisher_share"].text)
    first = setting_name(verdict_setting(table))
    chosen = [
        dropdown("dose_measure", measures, "measure "),
        dropdown("dose_across", list(ACROSS.values()), "against "),
        dropdown("dose_setting", sorted(settings, key=lambda name: name != first), "training "),
    ]
    where = "datum.measure == dose_measure && datum.setting == dose_setting"
    at = {end: _chosen_axis(f"gain{end}") for end in ("", "_low", "_high")}
    base = alt.Chart(rows).transform_filter(where)
    base = base.transform_calculate(at=at[""], at_low=at["_low"], at_high=at["_high"])
    line, named = "datum.joined" if rows["joined"].any() else None, bool((rows["dose"] == "as it is").any())
    layers = _layers(base, "at", "as chosen below", ("at_low", "at_high"), line, named=named)
    if len(lacking):
        word = alt.Chart(lacking).transform_filter(where).mark_text(fontSize=13)
        layers.append(word.encode(text=alt.value("not measured in this run"), x=alt.value(150), y=alt.value(160)))
    return themed(alt.layer(*layers).add_params(*chosen).properties(width="container", height=320))


def _chosen_axis(gain: str) -> str:
    """Expression for where a point stands, of its numbers, by the chosen axis; ``gain`` is one end of that."""
    others = [name for name in ACROSS if name != "gain"]
    tests = [f"dose_across == '{ACROSS[name]}' ? datum.{name} : " for name in others]
    return f"{''.join(tests)}datum.{gain}"


def effects_table(effects: pd.DataFrame) -> Markdown:
    """What more entropy does to each measure in each contrast, and whether all move as the paper says.

    Args:
        effects: of ``dose_effects``.
    """
    if effects.empty:
        return Markdown("There is no pair of doses here to compare.")
    contrasts = list(dict.fromkeys(zip(effects["kind"], effects["less"], effects["more"], strict=True)))
    heads = [
        f"{KINDS[kind]}, {cut_name(less)}: `{dose_name(less)}` → `{dose_name(more)}`"
        for kind, less, more in contrasts
    ]
    lines = [f"| Measure | {' | '.join(heads)} | As the paper says? |", f"| --- |{' ---: |' * len(heads)} --- |"]
    for metric in _primary_first(effects["metric"]):
        own = effects[effects["metric"] == metric].set_index(["kind", "less", "more"])
        cells = [_tested(own.loc[key], metric) if key in own.index else "–" for key in contrasts]
        said = "by construction" if metric in CHECKS else SAID[own["outcome"].iloc[0]]
        lines.append(f"| {_measure_name(metric)} | {' | '.join(cells)} | {said} |")
    return Markdown("\n".join(lines))


def _primary_first(metrics: Iterable[str]) -> list[str]:
    there = set(metrics)
    return [name for name in (*PRIMARY, *(name for name in DOSE_MEASURES if name not in PRIMARY)) if name in there]


def _measure_name(metric: str) -> str:
    """What is measured, in bold if its verdict is one of the few that are corrected together."""
    return f"**{DOSE_MEASURES[metric].text}**" if metric in PRIMARY else DOSE_MEASURES[metric].text


def _tested(row: pd.Series, metric: str) -> str:
    """An effect; in brackets where it is not told from none."""
    text = _number(row, metric)
    return text if row["p"] <= 1 - LEVEL else f"({text})"


def gap_table(parts: pd.DataFrame) -> Markdown:
    """Each measure of text, of text at DNA's context gain and of DNA as it is, and what of the gap is gone.

    Args:
        parts: of ``gap_parts``.
    """
    if parts.empty:
        return Markdown(NO_MATCH)
    heads = ["Measure", "DNA", "text", "text at DNA's gain", "DNA", "text in random order", "gone at DNA's gain",
             "on every scale", "there in random order", "left", "more than half gone?"]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "| --- | --- |" + " ---: |" * 8 + " --- |"]
    for metric in _primary_first(parts["metric"]):
        for _, row in parts[parts["metric"] == metric].iterrows():
            own = [_plain(row[name], metric) for name in ("text", "beside", "dna", "shuffled")]
            told = row["outcome"] != NO_GAP
            scales = f"{percentage(row['least'], 0)} to {percentage(row['most'], 0)}" if told else "–"
            said = "by construction" if metric in CHECKS else row["outcome"]
            cells = [
                *own,
                share_text(row, "gone"),
                scales,
                share_text(row, "floors"),
                share_text(row, "left"),
                said,
            ]
            lines.append(f"| {_measure_name(metric)} | {cut_name(row['condition'])} | {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def gaps_over_training(parts: pd.DataFrame) -> Markdown:
    """What of the gap is gone where text is matched to DNA, in the primary measures and the checks, by training.

    Args:
        parts: of ``all_gap_parts``.
    """
    names = [name for name in (*PRIMARY, *CHECKS) if name in set(parts["metric"])]
    if not names:
        return Markdown(NO_MATCH)
    heads = ["Training", "DNA", "matched at, bits per token", *(DOSE_MEASURES[name].text for name in names)]
    lines = [f"| {' | '.join(heads)} |", "| --- | --- | ---: |" + " ---: |" * len(names)]
    for (setting, condition), own in parts.groupby(["setting", "condition"], sort=False):
        found = own.set_index("metric")
        cells = [share_text(found.loc[name], "gone") if name in found.index else "–" for name in names]
        gain = f"{own['gain'].iloc[0]:.2f}"
        lines.append(
            f"| {setting_name(str(setting))} | {cut_name(str(condition))} | {gain} | {' | '.join(cells)} |"
        )
    return Markdown("\n".join(lines))


def share_text(row: pd.Series, part: str) -> str:
    """A part of a gap with its interval; that there is no gap, or a dash where it was not measured."""
    if row["outcome"] == NO_GAP:
        return NO_GAP
    if pd.isna(row[part]):
        return "–"
    value, low, high = (percentage(row[f"{part}{end}"], 0) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def _plain(value: float, metric: str) -> str:
    return "–" if pd.isna(value) else number(value, DOSE_MEASURES[metric].percent)


def cut_name(condition: str) -> str:
    """How a condition is cut into tokens, for a sentence: ``4-mers``, ``BPE of 256``."""
    tokenizer = Condition.parse(condition).tokenizer
    size = tokenizer.removeprefix("kmer").removeprefix("bpe")
    return f"{size}-mers" if tokenizer.startswith("kmer") else f"BPE of {size}"


def _number(row: pd.Series, metric: str) -> str:
    """A difference with its interval; percentages are points."""
    return difference(row["value"], row["low"], row["high"], DOSE_MEASURES[metric].percent)


def sweep_chart(table: pd.DataFrame) -> alt.LayerChart:
    """A quantity of the output distributions against bases per token, k-mers and BPE, matched in two ways.

    Args:
        table: of ``tokenizer_sweep``.
    """
    plain = summaries(
        rows_of(table, "output_entropy", "nll", "context_gain", "unigram_nll", axis="matched", numeric=False)
    )
    plain = plain[plain["state"] != "untrained"]
    plain = pd.concat([plain, _of_frequencies(plain)], ignore_index=True)
    rows = with_span(pd.concat(_from_uniform(plain, table), ignore_index=True))
    names = [SWEPT.get((row["metric"], row["unit"])) for _, row in rows.iterrows()]
    rows = rows.assign(shown=names).dropna(subset=["shown"])
    for metric in ("bases_per_token", "vocabulary"):
        found = table[table["metric"] == metric].drop_duplicates("condition").set_index("condition")["value"]
        rows[metric] = rows["condition"].map(found).astype("float64")
    rows["tokenizer"] = [Condition.parse(name).tokenizer for name in rows["condition"]]
    rows["kind"] = rows["tokenizer"].str.startswith("kmer").map({True: "k-mers", False: "BPE"})
    rows["matched"] = "equal " + rows["x"]
    chosen = dropdown("swept", list(SWEPT.values()), "quantity ")
    scale = alt.Scale(domain=["k-mers", "BPE"], range=list(COLOURS[2:4]))
    tips = ["tokenizer", "matched", "state", *tooltips("vocabulary", text=",.0f"), *tooltips("bases_per_token"),
            *tooltips("value", "low", "high")]  # fmt: skip
    columns = [
        "tokenizer", "kind", "matched", "state", "shown", "value", "low", "high", "bases_per_token", "vocabulary",
    ]  # fmt: skip
    base = alt.Chart(rows[columns]).transform_filter("datum.shown == swept").encode(
        x=alt.X("bases_per_token:Q", title="bases per token (mean)", scale=alt.Scale(zero=False, padding=14)),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
        color=alt.Color("kind:N", title=None, scale=scale),
    )  # fmt: skip
    trained = base.transform_filter("datum.state == 'trained'")
    dash = alt.StrokeDash(
        "matched:N", title=None, legend=stroke_legend(),
        scale=alt.Scale(domain=["equal tokens", "equal bases"], range=[[1, 0], [5, 3]]),
    )  # fmt: skip
    return themed(
        alt.layer(
            trained.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q"),
            trained.mark_line(point=True, strokeWidth=1.5).encode(strokeDash=dash, tooltip=tips),
            base.transform_filter("datum.state != 'trained' && datum.matched == 'equal tokens'")
            .mark_point(shape="stroke", size=90, opacity=0.6)
            .encode(tooltip=tips),
        )
        .add_params(chosen)
        .properties(width="container", height=320)
    )


def _of_frequencies(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a model that knows token frequencies alone: what these cost is its entropy and its loss."""
    costs = rows[rows["metric"] == "unigram_nll"].assign(state="token frequencies")
    gains = costs.assign(metric="context_gain", value=0.0)
    return pd.concat([costs.assign(metric="output_entropy"), costs.assign(metric="nll"), gains], ignore_index=True)


def _from_uniform(rows: pd.DataFrame, table: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows, and those of KL(p || uniform) = log2 V - H(p) in bits and as a share of log2 V.

    V counts no special tokens, which models do not predict and which are more than half of a vocabulary of bases.
    """
    entropy = rows[(rows["metric"] == "output_entropy") & (rows["unit"] == "bits/token")]
    sizes = table[table["metric"] == "vocabulary"].drop_duplicates("condition").set_index("condition")["value"]
    most = np.log2(entropy["condition"].map(sizes).to_numpy("float64") - len(SPECIAL))
    ends = {"value": "value", "low": "high", "high": "low"}
    bits = entropy.assign(
        metric="kl_from_uniform",
        **{name: most - entropy[other].to_numpy("float64") for name, other in ends.items()},
    )
    share = bits.assign(metric="kl_share", unit="share", **{name: bits[name] / most for name in ends})
    return [rows, bits, share]
