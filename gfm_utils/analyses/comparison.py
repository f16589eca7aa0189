"""Any number of conditions on the same few scales: what the comparison page of a batch of reports shows.

Corpora with different alphabets and tokenizers are compared by shares (of a uniform choice, of what token
frequencies cost) and by quantities between members; bits per token of two tokenizers cannot be compared.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.claims import Estimate, Measure, Term, estimate, kinds
from gfm_utils.analyses.rows import Row

TOKEN = "bits/token"
#: Name in result tables -> what is measured, with its null where it has one.
COMPARED: dict[str, Measure] = {
    "entropy_share": Measure(
        "shortest code of the corpus, share of a uniform choice", "entropy",
        (Term("code_length", least=True), Term("uniform_entropy")), None, lambda part, whole: part / whole,
        percent=True, null=None,
    ),
    "context_gain_share": Measure(
        "context gain, share of what token frequencies cost", "predictions",
        (Term("context_gain", unit=TOKEN), Term("unigram_nll", unit=TOKEN)), None,
        lambda part, whole: part / whole, percent=True, null=None,
    ),
    "js_distance": Measure(
        "Jensen–Shannon distance between members", "disagreement", (Term("js_distance"),), None,
        null=("matched null", (Term("js_distance_matched_null"),)),
    ),
    "topk_overlap_corrected": Measure(
        "10 nearest embeddings shared, beyond chance", "static_embeddings",
        (Term("topk_overlap_corrected", "k", "10"),), None, percent=True,
    ),
    "fisher_share": Measure(
        "encoder's share of the Fisher information", "fisher", (Term("fisher_share", "group", "encoder"),), None,
        percent=True,
    ),
}  # fmt: skip


def compared(rows: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """One row a condition and quantity of ``COMPARED``, with its interval, and one for its null.

    Args:
        rows: all result tables of one report, whose conditions are of one corpus.
        conditions: ``corpus@tokenizer`` each.

    Returns:
        Result table; ``state`` is ``trained`` or the name of the null, ``axis`` is ``kind`` and ``x`` is ``text``
        or ``dna``. The interval is over members; of the corpus's entropy it is along the corpus. A quantity that
        the report lacks has no row.
    """
    return tables.table(row for condition in conditions for row in _rows(rows, condition, conditions))


def _rows(rows: pd.DataFrame, condition: str, conditions: Sequence[str]) -> Iterator[Row]:
    others = [name for name in conditions if name != condition]
    own = rows[~rows["condition"].isin(others)]  # the condition's, and those of its corpus
    own = own.assign(condition=condition)
    kind = "dna" if kinds(own)[1] else "text"
    for name, measure in COMPARED.items():
        base: Row = {"condition": condition, "metric": name, "axis": "kind", "x": kind}
        base["unit"] = "share" if measure.percent else "distance"
        found = estimate(measure, own)
        if found is None:
            continue
        yield {**base, "state": "trained", **_ends(found)}
        null = None if measure.null is None else estimate(measure, own, null=True)
        if measure.null is not None and null is not None:
            yield {**base, "state": measure.null[0], **_ends(null)}


def _ends(found: Estimate) -> Row:
    low, high = (None if np.isnan(end) else end for end in (found.interval.low, found.interval.high))
    return {"value": found.interval.value, "low": low, "high": high, "n": len(found.members) or None}
