"""Charts of the tokens and of the training."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
from pandas.io.formats.style import Styler

from gfm_utils.corpora import Corpus
from gfm_utils.ensembles import Ensemble
from gfm_utils.figures.overview import for_people, value_text
from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries
from gfm_utils.figures.style import condition_colour, themed


def token_frequency_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of the r-th commonest token against its rank, both logarithmic, one line a condition."""
    rows = rows_of(table, "token_frequency", axis="rank")
    rows = rows[rows["value"] > 0]
    chart = (
        alt.Chart(rows[["condition", "x", "value"]])
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title="rank of the token", scale=alt.Scale(type="log")),
            y=alt.Y(
                "value:Q",
                title="share of all tokens",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(format="~g"),
            ),
            color=condition_colour(conditions_of(table)),
            tooltip=["condition", alt.Tooltip("x:Q", title="rank"), alt.Tooltip("value:Q", format=".3%")],
        )
        .properties(width="container", height=300)
        .interactive()
    )
    return themed(chart)


def learning_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Validation loss against tokens read, a thin line a member; dashed: what token frequencies alone reach."""
    curve = singles(rows_of(table, "validation_nll", axis="tokens"))
    curve = curve[curve["x"] > 0]
    level = rows_of(table, "validation_unigram_nll")
    colour = condition_colour(conditions_of(table))
    lines = (
        alt.Chart(curve[["condition", "member", "x", "value"]])
        .mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.2)
        .encode(
            x=alt.X(
                "x:Q",
                title="tokens read in training",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(format="~s"),
            ),
            y=alt.Y("value:Q", title="validation loss (bits per token)", scale=alt.Scale(zero=False)),
            color=colour,
            detail="member:N",
            tooltip=[
                "condition",
                alt.Tooltip("member:N", title="seed"),
                alt.Tooltip("x:Q", title="tokens", format=","),
                alt.Tooltip("value:Q", title="bits per token", format=".3f"),
            ],
        )
    )
    rules = (
        alt.Chart(level[["condition", "value"]])
        .mark_rule(strokeDash=[6, 4], strokeWidth=1.5)
        .encode(
            y="value:Q", color=colour,
            tooltip=["condition", alt.Tooltip("value:Q", title="unigram, bits per token", format=".3f")],
        )
    )  # fmt: skip
    return themed(alt.layer(lines, rules).properties(width="container", height=340))


def summary_of_training(table: pd.DataFrame) -> Styler:
    """Per condition: tokens a member, final validation loss with its interval, unigram level, tokens a second."""
    curve = summaries(rows_of(table, "validation_nll", axis="tokens")).sort_values("x")
    final = curve.groupby("condition", sort=False).last()
    level = rows_of(table, "validation_unigram_nll").set_index("condition")["value"]
    speed = summaries(rows_of(table, "training_speed")).set_index("condition")["value"]
    loss = [value_text(*row) for row in zip(final["value"], final["low"], final["high"], strict=True)]
    columns = {
        "tokens a member": final["x"].map("{:,.0f}".format),
        "validation loss (bits/token)": pd.Series(loss, final.index),
        "token frequencies alone": level.map("{:.3f}".format),
        "tokens/s a member": speed.map("{:,.0f}".format),
    }
    return for_people(pd.DataFrame(columns).loc[conditions_of(table)].reset_index())


def shared_overview(ensembles: Sequence[Ensemble]) -> Styler:
    """Per condition: what all members share, and the seeds by which they differ."""
    rows = []
    for ensemble in ensembles:
        spec, member = ensemble.spec, ensemble.members[0]
        weights = sum(value.numel() for value in member.model().parameters())
        rows.append({
            "condition": spec.condition, "architecture": spec.preset, "parameters": f"{weights:,}",
            "window (tokens)": spec.window, "steps": f"{spec.steps:,}", "windows a step": spec.batch,
            "masked": f"{spec.train_mask:.0%}", "learning rate": spec.learning_rate, "data seed": spec.data_seed,
            "members differ by": spec.vary, "member seeds": ", ".join(map(str, ensemble.seeds)),
            "device": member.provenance["device"],
        })  # fmt: skip
    return for_people(pd.DataFrame(rows).astype(str))


def corpus_overview(table: pd.DataFrame, found: Sequence[Corpus]) -> Styler:
    """Per corpus: records, symbols, what the run uses of them by part, and the licence."""
    rows = []
    for corpus in found:
        own = table[table["condition"] == corpus.name]
        parts = own[own["metric"] == "part_symbols"].set_index("x")["value"]
        rows.append({
            "corpus": corpus.name, "records": f"{corpus.stats['records']:,}",
            "bases or characters": f"{corpus.symbols:,}",
            **{f"{part} part": f"{size:,.0f}" for part, size in parts.items()}, "licence": corpus.licence,
        })  # fmt: skip
    return for_people(pd.DataFrame(rows))


def leak_overview(table: pd.DataFrame) -> Styler:
    """Per corpus and part: windows checked, and the share that repeats something of the training part."""
    rows = rows_of(table, "leaked_windows", axis="part", numeric=False)
    reverse = table[table["metric"] == "leaked_windows_reverse"]
    strands = {(c, x): v for c, x, v in zip(reverse["condition"], reverse["x"], reverse["value"], strict=True)}
    shown = [
        {
            "corpus": condition, "part": part, "windows": f"{n:,.0f}", "exact match": f"{value:.2%}",
            "on the other strand": f"{strands[condition, part]:.2%}" if (condition, part) in strands else "–",
        }
        for condition, part, n, value in zip(rows["condition"], rows["x"], rows["n"], rows["value"], strict=True)
    ]  # fmt: skip
    return for_people(pd.DataFrame(shown))
