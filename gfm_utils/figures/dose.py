"""Charts and tables of the causal test: measures over doses, effects, parts of the gap, the tokenizer sweep."""

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.claims.claim import AGAINST, FOR, NOT_TESTED, UNDECIDED
from gfm_utils.claims.dose import AXIS, DOSE_MEASURES, GAIN
from gfm_utils.claims.effects import CHECKS, NO_GAP, PRIMARY, keeps_counts, kind_of, settings_of, verdict_setting
from gfm_utils.figures.comparison import LABELS, kind_colour
from gfm_utils.figures.forms import (
    TRAINED,
    Menu,
    chosen,
    chosen_title,
    crosses,
    finished,
    lines,
    stroke_legend,
    tooltips,
)
from gfm_utils.figures.names import cut_name
from gfm_utils.figures.numbers import number, percentage, row_difference
from gfm_utils.figures.palette import DNA_BPE, KIND_COLOURS, NEUTRAL
from gfm_utils.figures.select import means, named_means
from gfm_utils.figures.summary_table import cells, markdown_table
from gfm_utils.measures.intervals import LEVEL
from gfm_utils.tokens import SPECIAL, Condition

#: What stands to the right: name in the data -> title of the axis.
ACROSS = {
    "gain": "context gain, bits per token",
    "per_symbol": "entropy, bits per symbol",
    "per_token": "entropy, bits per token",
}
#: What is said where there is no recorded run, and where text and DNA have no gain in common.
NOT_RECORDED = "The causal test is not recorded yet: `python benchmarks/dose_response.py` records it."
NO_MATCH = "No text of this run gains as little, or as much, as its DNA does: nothing is matched."
#: What the contrasts say of a measure, for people.
SAID = {FOR: "yes", AGAINST: "**no, the opposite**", UNDECIDED: "undecided", NOT_TESTED: "not testable here"}
#: What the sweep's chart can show: metric and unit -> name.
SWEPT = {
    ("kl_share", "share"): "KL from uniform, share of log2 V",
    ("output_entropy", "bits/base"): "output entropy, bits per base",
    ("nll", "bits/base"): "loss, bits per base",
    ("context_gain", "bits/base"): "context gain, bits per base",
}


def dose_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows over all members of ``dose_response``, and what each can be drawn against.

    That is the columns of ``ACROSS`` and the ends of the gain's interval. For people there are ``dose`` (the
    transform), ``kind``, ``setting`` and ``measure``.
    """
    rows = named_means(table, {name: measure.text for name, measure in DOSE_MEASURES.items()}, AXIS)
    gains = rows[(rows["metric"] == GAIN) & (rows["state"] == "trained")].set_index(["condition", "x"])
    gains = gains[["value", "low", "high"]].set_axis(["gain", "gain_low", "gain_high"], axis="columns")
    rows = rows.join(gains, on=["condition", "x"])
    for metric, column in (("entropy_rate", "per_symbol"), ("entropy_per_token", "per_token")):
        rows[column] = rows["condition"].map(table[table["metric"] == metric].set_index("condition")["value"])
    return rows.rename(columns={"what": "measure"}).assign(
        dose=rows["condition"].map(dose_name),
        kind=rows["condition"].map(kind_of(table)).map(LABELS),
        setting=rows["x"].map(setting_name),
    )


def dose_name(condition: str) -> str:
    """The transform of a condition, ``as it is`` without one."""
    return Condition.parse(condition).transform or "as it is"


def setting_name(x: str) -> str:
    """Budget and model for people: ``750 steps, modernbert-2x64``, and the run if it is not the last."""
    steps, *rest = x.split("|")
    return ", ".join([f"{int(steps):,} steps", *rest])


def gain_axis(column: str, title: str, ticks: list[float], form: str) -> alt.X:
    """The axis of the context gain: most conditions lie between 0 and 0.3 bits."""
    scale = alt.Scale(type="symlog", constant=0.1, zero=False, padding=14, nice=False)
    return alt.X(column, title=title, scale=scale, axis=alt.Axis(values=ticks, format=form))


def dose_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """Any measure against context gain or entropy: the reader chooses measure, axis, budget and model.

    The line joins the doses of text. A layer without a row would make Vega complain, and is left out.

    From ``dose_response``; of an empty one a sentence says that nothing is recorded.
    """
    if table.empty:
        return Markdown(NOT_RECORDED)
    rows = dose_rows(table)
    trained, untrained = (rows["state"] == state for state in ("trained", "untrained"))
    own = rows["condition"].map(keeps_counts).astype(bool)
    rows["joined"] = trained & own & (rows["kind"] == LABELS["text"])
    measures = list(dict.fromkeys(rows["measure"]))
    settings = [setting_name(x) for x in settings_of(table)]
    first = DOSE_MEASURES["fisher_share"].text
    menus = (
        Menu("dose_measure", "measure", measures, "measure ", first if first in measures else None),
        Menu("dose_setting", "setting", settings, "training ", setting_name(verdict_setting(table))),
    )
    across = Menu("dose_across", "", list(ACROSS.values()), "against ")
    tips: list[str | alt.Tooltip] = [
        "condition", "state", *tooltips("value", "low", "high"),
        *(alt.Tooltip(f"{name}:Q", title=title, format=".3~r") for name, title in ACROSS.items()),
    ]  # fmt: skip
    free = alt.Scale(zero=False)
    base = chosen(rows, *menus).transform_calculate(
        at=_chosen_axis("gain"), at_low=_chosen_axis("gain_low"), at_high=_chosen_axis("gain_high")
    )
    level = base.transform_filter("datum.state == 'untrained'").mark_rule(strokeDash=[6, 4], color=NEUTRAL)
    base = base.encode(
        x=alt.X("at:Q", title=None, scale=alt.Scale(zero=False, padding=34), axis=alt.Axis(tickCount=6)),
        y=alt.Y("value:Q", title=None, scale=free, axis=alt.Axis(format="~r", tickCount=5)),
        color=kind_colour(rows),
    )
    point = base.transform_filter(TRAINED)
    # The null is not filtered but of no size elsewhere: of a measure without one no row would be left.
    drawn = alt.when("datum.state == 'trained' || datum.state == 'untrained'").then(alt.value(0))
    null = base.mark_point(shape="stroke", opacity=0.6, strokeWidth=1.5)
    line = base.transform_filter("datum.joined").mark_line(strokeWidth=1.5, opacity=0.6)
    names = point.transform_filter("datum.dose == 'as it is'").mark_text(align="left", dx=8, dy=-6, fontSize=11)
    layers = [
        (rows["joined"], line.encode(order="at:Q")),
        *((trained, cross) for cross in crosses(point, ("at_low", "at_high"), ("low", "high"))),
        (untrained, level.encode(y="mean(value):Q", tooltip="state:N")),
        (~trained & ~untrained, null.encode(tooltip=tips, size=drawn.otherwise(alt.value(90)))),
        (trained, point.mark_point(filled=True, size=70, opacity=1).encode(tooltip=tips)),
        (rows["dose"] == "as it is", names.encode(text="kind:N")),
    ]
    title = chosen_title(menus[0], "'\\nagainst ' + dose_across")
    shown = [layer for there, layer in layers if there.any()]
    return finished(shown, 320, menus[0], across, menus[1], title=title)


def _chosen_axis(gain: str) -> str:
    """Expression for where a point stands, of its numbers, by the chosen axis; ``gain`` is one end of that."""
    tests = [f"dose_across == '{ACROSS[name]}' ? datum.{name} : " for name in ACROSS if name != "gain"]
    return f"{''.join(tests)}datum.{gain}"


def effects_table(effects: pd.DataFrame) -> Markdown:
    """What more entropy does to each measure in each contrast, and whether all move as the paper says.

    From ``dose_effects``.
    """
    if effects.empty:
        return Markdown("There is no pair of doses here to compare.")
    effects = effects.assign(contrast=list(zip(effects["kind"], effects["less"], effects["more"], strict=True)))
    contrasts = list(dict.fromkeys(effects["contrast"]))
    heads = [
        f"{LABELS[kind]}, {cut_name(less)}: `{dose_name(less)}` → `{dose_name(more)}`"
        for kind, less, more in contrasts
    ]
    rows = [
        [
            _measure_name(metric),
            *cells(measure, "contrast", contrasts, _effect),
            "by construction" if metric in CHECKS else SAID[measure["outcome"].iloc[0]],
        ]
        for metric, measure in _primary_first(effects)
    ]
    return Markdown(markdown_table(["Measure", *heads, "As the paper says?"], rows))


def _primary_first(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each measure, those of the primary measures first."""
    order = [*PRIMARY, *(name for name in DOSE_MEASURES if name not in PRIMARY)]
    return [(name, frame[frame["metric"] == name]) for name in order if name in set(frame["metric"])]


def _measure_name(metric: str) -> str:
    """What is measured, in bold if its verdict is one of the few that are corrected together."""
    return f"**{DOSE_MEASURES[metric].text}**" if metric in PRIMARY else DOSE_MEASURES[metric].text


def _effect(row: pd.Series) -> str:
    """A difference with its interval, percentages as points; in brackets where its interval includes zero."""
    text = row_difference(row, DOSE_MEASURES[row["metric"]].percent)
    return text if row["p"] <= 1 - LEVEL else f"({text})"


def gap_table(parts: pd.DataFrame) -> Markdown:
    """Each measure of text, of text at DNA's context gain and of DNA as it is, and what of the gap is gone.

    From ``gap_parts``.
    """
    if parts.empty:
        return Markdown(NO_MATCH)
    heads = ["Measure", "DNA", "text", "text at DNA's gain", "DNA", "text in random order", "gone at DNA's gain",
             "on every scale", "baseline: in random order", "residual", "more than half gone?"]  # fmt: skip
    rows = [_gap_row(row) for _, measure in _primary_first(parts) for _, row in measure.iterrows()]
    return Markdown(markdown_table(heads, rows, names=2))


def _gap_row(row: pd.Series) -> list[str]:
    """The cells of one measure and condition of DNA."""
    metric = row["metric"]
    values = [row[name] for name in ("text", "beside", "dna", "shuffled")]
    percent = DOSE_MEASURES[metric].percent
    no_gap = row["outcome"] == NO_GAP
    return [
        _measure_name(metric),
        cut_name(row["condition"]),
        *("–" if pd.isna(value) else number(value, percent) for value in values),
        share_text(row, "gone"),
        "–" if no_gap else f"{percentage(row['least'], 0)} to {percentage(row['most'], 0)}",
        share_text(row, "floors"),
        share_text(row, "left"),
        "by construction" if metric in CHECKS else row["outcome"],
    ]


def gaps_over_training(parts: pd.DataFrame) -> Markdown:
    """What of the gap is gone where text is matched to DNA, in the primary measures and the checks, by training.

    From ``all_gap_parts``.
    """
    names = [name for name in (*PRIMARY, *CHECKS) if name in set(parts["metric"])]
    if not names:
        return Markdown(NO_MATCH)
    rows = [
        [
            setting_name(str(setting)),
            cut_name(str(condition)),
            f"{measures['gain'].iloc[0]:.2f}",
            *cells(measures, "metric", names, lambda row: share_text(row, "gone")),
        ]
        for (setting, condition), measures in parts.groupby(["setting", "condition"], sort=False)
    ]
    heads = ["Training", "DNA", "matched at, bits per token", *(DOSE_MEASURES[name].text for name in names)]
    return Markdown(markdown_table(heads, rows, names=2))


def share_text(row: pd.Series, part: str) -> str:
    """A part of a gap with its interval; that there is no gap, or a dash where it was not measured."""
    if row["outcome"] == NO_GAP:
        return NO_GAP
    if pd.isna(row[part]):
        return "–"
    value, low, high = (percentage(row[f"{part}{end}"], 0) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def sweep_chart(table: pd.DataFrame) -> alt.LayerChart:
    """A quantity of the output distributions against bases per token, k-mers and BPE, matched in two ways.

    From ``tokenizer_sweep``.
    """
    rows = means(table, "output_entropy", "nll", "context_gain", "unigram_nll", axis="matched", numeric=False)
    sizes = table[table["metric"].isin(["bases_per_token", "vocabulary"])].astype({"condition": object})
    sizes = sizes.pivot_table(index="condition", columns="metric", values="value", aggfunc="first").astype(float)
    rows = pd.concat([rows[rows["state"] != "untrained"], _of_frequencies(rows)], ignore_index=True)
    rows = rows.join(sizes, on="condition")
    rows = pd.concat([rows, _from_uniform(rows)], ignore_index=True)
    rows["shown"] = pd.Series(zip(rows["metric"], rows["unit"], strict=True)).map(SWEPT)
    rows = rows.dropna(subset=["shown"])
    tokenizers = rows["condition"].map(lambda name: Condition.parse(name).tokenizer)
    kinds = tokenizers.str.startswith("kmer").map({True: "k-mers", False: "BPE"})
    rows = rows.assign(tokenizer=tokenizers, kind=kinds, matched="equal " + rows["x"])
    tips: list[str | alt.Tooltip] = [
        "tokenizer", "matched", "state", alt.Tooltip("vocabulary:Q", format=","),
        alt.Tooltip("bases_per_token:Q", title="bases per token", format=".3~r"),
        *tooltips("value", "low", "high"),
    ]  # fmt: skip
    menu = Menu("swept", "shown", list(SWEPT.values()), "quantity ")
    x = alt.X("bases_per_token:Q", title="bases per token (mean)", scale=alt.Scale(zero=False, padding=14))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    colours = alt.Scale(domain=["k-mers", "BPE"], range=[KIND_COLOURS["dna"], DNA_BPE])
    colour = alt.Color("kind:N", title=None, scale=colours)
    ways = alt.Scale(domain=["equal tokens", "equal bases"], range=[[1, 0], [5, 3]])
    dash = alt.StrokeDash("matched:N", title=None, legend=stroke_legend(), scale=ways)
    trained, null = rows["state"] == "trained", rows["matched"] == "equal tokens"
    strokes = chosen(rows[~trained & null], menu).mark_point(shape="stroke", size=90, opacity=0.6)
    strokes = strokes.encode(x=x, y=y, color=colour, tooltip=tips)
    return lines(rows[trained], x, y, colour, tips, dash=dash, menus=[menu], behind=[strokes])


def _of_frequencies(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a model that knows token frequencies alone: what these cost is its entropy and its loss."""
    costs = rows[rows["metric"] == "unigram_nll"].assign(state="token frequencies")
    no_gain = costs.assign(metric="context_gain", value=0.0, low=0.0, high=0.0)
    return pd.concat([costs.assign(metric="output_entropy"), costs.assign(metric="nll"), no_gain])


def _from_uniform(rows: pd.DataFrame) -> pd.DataFrame:
    """KL(p || uniform) = log2 V - H(p) of the rows, as a share of log2 V.

    V counts no special tokens, which models do not predict and which are more than half of a vocabulary of bases.
    """
    entropy = rows[(rows["metric"] == "output_entropy") & (rows["unit"] == "bits/token")]
    most = np.log2(entropy["vocabulary"] - len(SPECIAL))
    ends = {"value": "value", "low": "high", "high": "low"}
    return entropy.assign(
        metric="kl_share", unit="share", **{name: 1 - entropy[other] / most for name, other in ends.items()}
    )
