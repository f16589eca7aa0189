"""Charts of the tokens and of the training."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from gfm_utils.claims.paper import cost_overview
from gfm_utils.corpora import Corpus
from gfm_utils.ensembles import Cost, Ensemble, EnsembleSpec, duration
from gfm_utils.figures.forms import lines, logarithmic, spread_out
from gfm_utils.figures.names import POSITION_NAMES
from gfm_utils.figures.numbers import with_interval
from gfm_utils.figures.palette import NEUTRAL, OTHERS, condition_colours
from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries
from gfm_utils.figures.summary_table import for_people

#: Number of tokens a block -> what its conditional entropy is the entropy of.
GIVEN = {2: "the token before, counted", 3: "the two tokens before, counted"}
#: What models save that know token frequencies and nothing else.
ZERO = {"condition": None, "level": "token frequencies alone", "value": 0.0}
_HEIGHT = 360


def token_frequency_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of the r-th commonest token against its rank, both logarithmic, one line a condition."""
    rows = rows_of(table, "token_frequency", axis="rank").query("value > 0")
    return lines(
        rows,
        alt.X("x:Q", title="rank of the token, from the commonest", **logarithmic(rows["x"])),
        alt.Y("value:Q", title="share of all tokens", **logarithmic(rows["value"], "~p")),
        conditions_of(table),
        ["condition", alt.Tooltip("x:Q", title="rank"), alt.Tooltip("value:Q", title="share", format=".3~p")],
        spread=None,
        height=300,
    )


def learning_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Bits saved over token frequencies against tokens read, a line a member, and what counting saves."""
    return _saved_lines(table.assign(state="trained"), "condition", conditions_of(table))


def position_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The same by how an encoder knows the places of tokens."""
    scale = alt.Scale(domain=list(POSITION_NAMES.values()), range=OTHERS[:3])
    colour = alt.Color("state:N", title=None, scale=scale, legend=alt.Legend(columns=1, labelLimit=260))
    return _saved_lines(table.assign(state=table["state"].replace(POSITION_NAMES)), "state", colour)


def _saved_lines(table: pd.DataFrame, by: str, colour: Sequence[str] | alt.Color) -> alt.LayerChart:
    """Token frequencies' cost less the loss, and less the entropy of a token given those before it (rules)."""
    base = rows_of(table, "validation_unigram_nll").set_index("condition")["value"]
    curve = singles(rows_of(table, "validation_nll", axis="tokens"))
    curve = curve[curve["x"] > 0]
    given = rows_of(table, "conditional_entropy", axis="order")
    given = given.assign(level=given["x"].map(GIVEN)).dropna(subset="level")
    curve, given = (rows.assign(value=rows["condition"].map(base) - rows["value"]) for rows in (curve, given))
    saved = alt.Tooltip("value:Q", title="bits saved", format=".3~r")
    levels = pd.concat([given[["condition", "level", "value"]], pd.DataFrame([ZERO])]).sort_values("value")
    span = float(np.ptp([*curve["value"], *levels["value"]]))
    levels["label"] = spread_out(levels["value"].to_numpy("float64"), 14 / _HEIGHT * span)
    names = conditions_of(curve)
    of_condition = dict(zip(names, condition_colours(names), strict=True)) if by == "condition" else {}
    levels["colour"] = [of_condition.get(name, NEUTRAL) for name in levels["condition"]]
    rules = alt.Chart(levels).encode(tooltip=["level", saved])
    return lines(
        curve,
        alt.X("x:Q", title="tokens read in training", **logarithmic(curve["x"])),
        alt.Y("value:Q", title="bits saved per token"),
        colour,
        ["condition", "state", alt.Tooltip("member:N", title="seed"),
         alt.Tooltip("x:Q", title="tokens", format=".3~s"), saved],
        spread=None,
        behind=[
            rules.mark_rule(strokeWidth=1.5, strokeDash=[2, 3]).encode(
                y="value:Q", stroke=alt.Stroke("colour:N", scale=None)
            ),
            rules.mark_text(align="left", dy=-6, fontSize=11).encode(
                x=alt.value(4), y="label:Q", text="level:N", fill=alt.Fill("colour:N", scale=None)
            ),
        ],
        detail="member:N",
        height=_HEIGHT,
    )  # fmt: skip


def summary_of_training(table: pd.DataFrame) -> Styler:
    """Per condition: tokens a member, final loss with its interval, time and tokens a second.

    Where the best weights are kept and not the last, the loss is theirs.
    """
    last = summaries(rows_of(table, "validation_nll", axis="tokens")).sort_values("x")
    last = last.groupby("condition").last()
    kept = table[(table["metric"] == "validation_nll_kept") & table["member"].isna()].set_index("condition")
    last.update(kept[["value", "low", "high"]])
    time, speed = (
        summaries(rows_of(table, metric)).set_index("condition")["value"]
        for metric in ("training_time", "training_speed")
    )
    columns = {
        "tokens a member": last["x"].map("{:,.0f}".format),
        "validation loss (bits/token)": last.apply(with_interval, axis=1, digits=3),
        "time a member": time.map(duration),
        "tokens/s a member": speed.map("{:,.0f}".format),
    }
    return for_people(pd.DataFrame(columns).loc[conditions_of(table)].reset_index(names="condition"))


def shared_overview(ensembles: Sequence[Ensemble]) -> Styler:
    """Per condition: what all members share, what differs between them, and where they were trained."""
    frame = pd.DataFrame(map(_of_ensemble, ensembles)).astype(str).set_index("condition")
    return for_people(frame.T.reset_index(names="of each condition"))


def _of_ensemble(ensemble: Ensemble) -> dict[str, Any]:
    """The cells of one condition."""
    spec, member = ensemble.spec, ensemble.members[0]
    weights = sum(value.numel() for value in member.model().parameters())
    kinds = {
        name: len({getattr(spec.seeds(seed), name) for seed in ensemble.seeds})
        for name in ("init", "order", "masks")
    }
    return {
        "condition": spec.condition, "architecture": spec.preset, "parameters": f"{weights:,}",
        "window (tokens)": spec.window, "steps": f"{spec.steps:,}", "windows a step": spec.batch,
        "masked": f"{spec.train_mask:.0%}" + (", each by itself" if spec.independent_masks else ""),
        "weights that are kept": spec.keep, "dropout": spec.dropout, "learning rate": _rates(spec),
        "precision": spec.precision, "member seeds": ", ".join(map(str, ensemble.seeds)),
        "initial weights": _kinds(kinds["init"]), "orders of windows": _kinds(kinds["order"]),
        "masks": _kinds(kinds["masks"]), "device": member.provenance["device"],
    }  # fmt: skip


def _rates(spec: EnsembleSpec) -> str:
    """The peak learning rates of what trains the members."""
    adam = f"{spec.learning_rate:g} (AdamW)"
    return adam if spec.matrix_rate is None else f"{adam}, {spec.matrix_rate:g} (Muon, matrices of the layers)"


def _kinds(count: int) -> str:
    return "the same for all" if count == 1 else f"{count} different ones"


def cost_table(costs: Sequence[Cost]) -> Styler:
    """What training takes, of one or more conditions: time, memory and disk."""
    return for_people(pd.DataFrame(cost_overview(costs)))


def deviation_overview(deviations: pd.DataFrame) -> Styler:
    """What is done in another way than in the paper's code, a row each: there, here, and why."""
    names = {"what": "", "paper": "the paper's code", "here": "profile paper", "why": "why"}
    sentences = {"white-space": "normal", "text-align": "left", "vertical-align": "top", "min-width": "8em"}
    styler = for_people(deviations.rename(columns=names)).format(escape="html")  # <cls>
    heads = [{"selector": "th", "props": "text-align: left"}]
    return styler.set_properties(**sentences).set_table_styles(heads)


def corpus_overview(table: pd.DataFrame, corpora: Sequence[Corpus]) -> Styler:
    """Per corpus: records, copies left out, symbols, what the run uses of them by part, and the licence."""
    return for_people(pd.DataFrame([_of_corpus(table, corpus) for corpus in corpora]))


def _of_corpus(table: pd.DataFrame, corpus: Corpus) -> dict[str, str]:
    """The cells of one corpus."""
    parts = table[(table["condition"] == corpus.name) & (table["metric"] == "part_symbols")]
    return {
        "corpus": corpus.name, "records": f"{corpus.stats['records']:,}",
        "copies left out": f"{corpus.stats['dropped_duplicate']:,} of {corpus.records_read:,}",
        "symbols": f"{corpus.symbols:,}",
        **{f"{part} part": f"{size:,.0f}" for part, size in zip(parts["x"], parts["value"], strict=True)},
        "licence": corpus.licence,
    }  # fmt: skip


def leak_overview(table: pd.DataFrame) -> Styler:
    """Per corpus and part: windows checked, and the share that repeats something of the training part."""
    rows = rows_of(table, "leaked_windows", axis="part", numeric=False)
    keys = ["condition", "x"]
    reverse = table[table["metric"] == "leaked_windows_reverse"].astype(dict.fromkeys(keys, object))
    rows = rows.join(reverse.set_index(keys)["value"].astype(float).rename("reverse"), on=keys)
    return for_people(pd.DataFrame({
        "corpus": rows["condition"], "part": rows["x"], "windows": rows["n"].map("{:,.0f}".format),
        "exact match": rows["value"].map("{:.2%}".format),
        "on the other strand": rows["reverse"].map("{:.2%}".format, na_action="ignore").fillna("–"),
    }))  # fmt: skip
