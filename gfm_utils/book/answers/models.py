"""Answers of the chapters on what ensembles predict, embed, and are sensitive to: a sentence a condition.

A slot ``{name}`` is a measure of the registry with its interval, ``{name:state}`` its value in another state of
the members, and ``{name:null}`` that of its null.
"""

import re
from functools import partial

import pandas as pd
from IPython.display import Markdown

from gfm_utils.book.answers.shared import bullets, claims_lines, note
from gfm_utils.errors import GfmError
from gfm_utils.figures.numbers import interval, number
from gfm_utils.figures.select import conditions_of
from gfm_utils.measures.estimates import estimate, name_last, null_of
from gfm_utils.measures.registry import MEASURES

DISAGREEMENT = (
    "Jensen–Shannon distance {js_distance} (untrained {js_distance:untrained}, matched null {js_distance:null}); "
    "mutual information {mutual_information} bits per token; beyond chance the same likeliest token "
    "{top1_agreement} of the time, and rank-biased overlap {rank_biased_overlap}."
)
STRANDS = (
    "the other strand moves a base's distribution by {strand_js_distance} (untrained "
    "{strand_js_distance:untrained}, token frequencies alone {strand_js_distance:null}), another seed by "
    "{member_js_distance}."
)
STATIC = (
    "the Jaccard index of a token's 10 nearest neighbours in two members is {topk_overlap_corrected} beyond "
    "chance (untrained {topk_overlap_corrected:untrained}); the order of the similarities of the 100 nearest "
    "correlates with {local_spearman} (untrained {local_spearman:untrained}); Procrustes disparity "
    "{procrustes_disparity} (untrained {procrustes_disparity:untrained}); debiased linear CKA "
    "{linear_cka_debiased} (untrained {linear_cka_debiased:untrained})."
)
CONTEXTUAL = (
    "in the last layer tokens fill {effective_rank} dimensions (untrained {effective_rank:untrained}), with a "
    "mean cosine of {anisotropy} (untrained {anisotropy:untrained}); between members, debiased linear CKA "
    "{tokens_cka} (untrained {tokens_cka:untrained}), nearest neighbours shared beyond chance "
    "{tokens_alignment} (untrained {tokens_alignment:untrained})."
)
FISHER = (
    "encoder {fisher_share} (untrained {fisher_share:untrained}, with its context at random "
    "{fisher_share:random_context}, by the invariant measure {fisher_share_invariant}); embeddings, as in the "
    "paper, {embeddings_share}, of which {input_share} through the input and {decoder_share} through the output; "
    "head {head_share}. On the tokens read here the context gain is {context_gain_there} bits per token (with "
    "context at random {context_gain_there:random_context})."
)
#: States of members that stand in for a control, and how a sentence names them.
CONTROLS = {
    "shuffled": "trained on shuffled tokens**, where there is no context to be learned",
    "no layers": "without layers**, which can use no context",
}
_SLOT = re.compile(r"\{(\w+)(?::([\w ]+))?\}")


def sentences(template: str, table: pd.DataFrame) -> list[str]:
    """A bullet a condition, with the slots filled; a dash where the table has no number.

    Raises:
        GfmError: the table has none of the numbers of a condition.
    """

    def line(condition: str) -> str:
        rows = table[table["condition"] == condition]
        slots = {slot.group(): _filled(rows, slot[1], slot[2]) for slot in _SLOT.finditer(template)}
        if not any(slots.values()):
            raise GfmError(
                f"the result table has no numbers of {condition!r} for an answer; run its chapter again"
            )
        return _SLOT.sub(lambda slot: slots[slot.group()] or "–", template)

    return bullets(table, line)


def _filled(rows: pd.DataFrame, name: str, state: str | None) -> str:
    """What stands in a slot; nothing where the rows have no number."""
    measure = MEASURES[name]
    if state is None:
        whole = estimate(measure, rows)
        return "" if whole is None else interval(*whole.over_both, percent=measure.percent)
    control = null_of(measure, rows) if state == "null" else estimate(measure, rows, state)
    return "" if control is None else number(control.interval.value, measure.percent)


def _answer(template: str, table: pd.DataFrame) -> str:
    return "\n".join([*claims_lines(table), *sentences(template, table), note()])


disagreement_answer = partial(_answer, DISAGREEMENT)
static_answer = partial(_answer, STATIC)


def strand_answer(table: pd.DataFrame) -> Markdown:
    """How far a strand flip moves predictions, beside another seed."""
    if table.empty:
        return Markdown("This run has no DNA, and so no other strand.")
    return Markdown("\n".join([*sentences(STRANDS, table), note()]))


def contextual_answer(table: pd.DataFrame) -> str:
    """What the last layer looks like, and how far members agree there."""
    return "\n".join([*sentences(CONTEXTUAL, name_last(table)), note()])


def fisher_answer(table: pd.DataFrame) -> str:
    """Where the Fisher information sits, by the paper's groups and taken apart."""
    lines = [*claims_lines(table), *sentences(FISHER, table)]
    for state, words in CONTROLS.items():
        for condition in conditions_of(table[(table["state"] == state).fillna(False)]):
            rows = table[table["condition"] == condition]
            encoder, output = (_filled(rows, name, state) for name in ("fisher_share", "output_share"))
            lines.append(f"- **{condition}, {words}: encoder {encoder}, output {output}.")
    return "\n".join([*lines, note()])
