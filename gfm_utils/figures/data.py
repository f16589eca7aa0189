"""Charts of the tokens and of the training."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
from pandas.io.formats.style import Styler

from gfm_utils.analyses.deviations import Deviation
from gfm_utils.corpora import Corpus
from gfm_utils.ensembles import Ensemble, EnsembleSpec, duration
from gfm_utils.figures.names import POSITION_NAMES
from gfm_utils.figures.numbers import interval
from gfm_utils.figures.overview import for_people
from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries
from gfm_utils.figures.style import condition_colour, themed

#: Number of tokens a block -> what its conditional entropy is the entropy of.
GIVEN = {2: "a token, given the one before", 3: "a token, given the two before"}


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
    """Validation loss against tokens read, a line a member, with the levels that counting alone reaches."""
    conditions = conditions_of(table)
    chart = alt.layer(
        _loss_lines(table, condition_colour(conditions), alt.Detail("member:N")),
        _levels(table, condition_colour(conditions)),
    )
    return themed(chart.properties(width="container", height=360))


def position_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Validation loss against tokens read, by how an encoder knows the places of tokens, a line a member."""
    names = list(POSITION_NAMES.values())
    scale = alt.Scale(domain=names, range=["#0072B2", "#009E73", "#D55E00"])
    colour = alt.Color("state:N", title="positions", scale=scale, legend=alt.Legend(columns=1, labelLimit=260))
    named = table.assign(state=table["state"].replace(POSITION_NAMES))
    chart = alt.layer(_loss_lines(named, colour, alt.Detail("member:N")), _levels(named, alt.value("#666")))
    return themed(chart.properties(width="container", height=300))


def _loss_lines(table: pd.DataFrame, colour: alt.Color, detail: alt.Detail) -> alt.Chart:
    curve = singles(rows_of(table, "validation_nll", axis="tokens"))
    curve = curve[curve["x"] > 0]
    return (
        alt.Chart(curve[["condition", "state", "member", "x", "value"]])
        .mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.2)
        .encode(
            x=alt.X(
                "x:Q",
                title="tokens read in training",
                scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(format="~s"),
            ),
            y=alt.Y("value:Q", title="validation loss (bits per token)", scale=alt.Scale(zero=False)),
            color=colour,
            detail=detail,
            tooltip=[
                "condition",
                alt.Tooltip("member:N", title="seed"),
                alt.Tooltip("x:Q", title="tokens", format=","),
                alt.Tooltip("value:Q", title="bits per token", format=".3f"),
            ],
        )
    )


def _levels(table: pd.DataFrame, colour: Any) -> alt.Chart:
    """Rules: the unigram cross-entropy, and the entropy of a token given the one or two before it."""
    unigram = rows_of(table, "validation_unigram_nll").assign(level="token frequencies")
    given = rows_of(table, "conditional_entropy", axis="order")
    given = given[given["x"] > 1].assign(level=lambda rows: [GIVEN[int(order)] for order in rows["x"]])
    levels = pd.concat([unigram, given], ignore_index=True)
    names = [name for name in ("token frequencies", *GIVEN.values()) if name in set(levels["level"])]
    return (
        alt.Chart(levels[["condition", "level", "value"]])
        .mark_rule(strokeWidth=1.5)
        .encode(
            y="value:Q",
            color=colour,
            strokeDash=alt.StrokeDash(
                "level:N", title="dashed levels: entropy of", sort=names,
                scale=alt.Scale(domain=names, range=[[8, 4], [2, 3], [8, 3, 2, 3]][: len(names)]),
                legend=alt.Legend(columns=1, labelLimit=260),
            ),
            tooltip=["condition", "level", alt.Tooltip("value:Q", title="bits per token", format=".3f")],
        )
    )  # fmt: skip


def summary_of_training(table: pd.DataFrame) -> Styler:
    """Per condition: tokens a member, final loss with its interval, its levels, time and tokens a second.

    Where the best weights are kept and not the last, the loss is theirs.
    """
    curve = summaries(rows_of(table, "validation_nll", axis="tokens")).sort_values("x")
    final = curve.groupby("condition", sort=False).last()
    if (table["metric"] == "validation_nll_kept").any():
        kept = summaries(rows_of(table, "validation_nll_kept")).set_index("condition")
        final.update(kept[["value", "low", "high"]])
    level = rows_of(table, "validation_unigram_nll").set_index("condition")["value"]
    given = rows_of(table, "conditional_entropy", axis="order").set_index(["condition", "x"])["value"]
    time, speed = (
        summaries(rows_of(table, metric)).set_index("condition")["value"]
        for metric in ("training_time", "training_speed")
    )
    loss = [interval(*row) for row in zip(final["value"], final["low"], final["high"], strict=True)]

    def entropy(order: int) -> pd.Series:
        known = [(name, given.get((name, order))) for name in final.index]
        return pd.Series({name: "–" if value is None else f"{value:.3f}" for name, value in known})

    columns = {
        "tokens a member": final["x"].map("{:,.0f}".format),
        "validation loss (bits/token)": pd.Series(loss, final.index),
        "token frequencies": level.map("{:.3f}".format),
        **{
            f"given {order - 1} before": entropy(order)
            for order in GIVEN
            if order in given.index.get_level_values(1)
        },
        "time a member": time.map(duration),
        "tokens/s a member": speed.map("{:,.0f}".format),
    }
    return for_people(pd.DataFrame(columns).loc[conditions_of(table)].reset_index(names="condition"))


def shared_overview(ensembles: Sequence[Ensemble]) -> Styler:
    """Per condition: what all members share, what differs between them, and where they were trained."""
    rows = []
    for ensemble in ensembles:
        spec, member = ensemble.spec, ensemble.members[0]
        weights = sum(value.numel() for value in member.model().parameters())
        own = [spec.seeds(seed) for seed in ensemble.seeds]
        different = {name: len({getattr(seeds, name) for seeds in own}) for name in ("init", "order", "masks")}
        rows.append({
            "condition": spec.condition, "architecture": spec.preset, "parameters": f"{weights:,}",
            "window (tokens)": spec.window, "steps": f"{spec.steps:,}", "windows a step": spec.batch,
            "masked": f"{spec.train_mask:.0%}" + (", each by itself" if spec.independent_masks else ""),
            "weights that are kept": spec.keep, "dropout": spec.dropout, "learning rate": _rates(spec),
            "precision": spec.precision, "member seeds": ", ".join(map(str, ensemble.seeds)),
            "initial weights": _kinds(different["init"]),
            "orders of windows": _kinds(different["order"]), "masks": _kinds(different["masks"]),
            "device": member.provenance["device"],
        })  # fmt: skip
    return for_people(
        pd.DataFrame(rows).astype(str).set_index("condition").T.reset_index(names="of each condition")
    )


def _rates(spec: EnsembleSpec) -> str:
    """The peak learning rates of what trains the members."""
    adam = f"{spec.learning_rate:g} (AdamW)"
    return adam if spec.matrix_rate is None else f"{adam}, {spec.matrix_rate:g} (Muon, matrices of the layers)"


def _kinds(count: int) -> str:
    return "the same for all" if count == 1 else f"{count} different ones"


def cost_overview(table: pd.DataFrame) -> Styler:
    """Expected cost of training: time on one device and on several, device memory and disk."""
    times = rows_of(table, "training_time", axis="devices")
    shown = {
        f"time on {count:.0f} machine{'s' if count > 1 else ''} like this": duration(seconds)
        for count, seconds in zip(times["x"], times["value"], strict=True)
    }
    memory = rows_of(table, "device_memory", axis="source", numeric=False).iloc[0]
    shown |= {
        "members": f"{times['n'].iloc[0]:.0f}",
        "machine-hours": f"{rows_of(table, 'device_time')['value'].iloc[0]:,.0f}",
        f"device memory ({memory['x']})": f"{memory['value'] / 2**30:.1f} GiB",
        "disk": f"{rows_of(table, 'disk')['value'].iloc[0] / 2**30:.1f} GiB",
    }
    return for_people(pd.DataFrame([shown]))


def deviation_overview(found: Sequence[Deviation]) -> Styler:
    """What is done in another way than in the paper's code, a row each: there, here, and why."""
    names = {"what": "", "paper": "the paper's code", "here": "profile paper", "why": "why"}
    sentences = {"white-space": "normal", "text-align": "left", "vertical-align": "top", "min-width": "8em"}
    styler = for_people(pd.DataFrame(found).rename(columns=names)).format(escape="html")  # <cls>
    heads = [{"selector": "th", "props": "text-align: left"}]
    return styler.set_properties(**sentences).set_table_styles(heads)


def corpus_overview(table: pd.DataFrame, found: Sequence[Corpus]) -> Styler:
    """Per corpus: records, copies left out, symbols, what the run uses of them by part, and the licence."""
    rows = []
    for corpus in found:
        own = table[table["condition"] == corpus.name]
        parts = own[own["metric"] == "part_symbols"].set_index("x")["value"]
        rows.append({
            "corpus": corpus.name, "records": f"{corpus.stats['records']:,}",
            "copies left out": f"{corpus.stats['dropped_duplicate']:,} of {corpus.records_read:,}",
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
