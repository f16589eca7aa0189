"""Any number of conditions on the same few scales: what the comparison page of a batch of reports shows.

Corpora with different alphabets and tokenizers are compared by shares (of a uniform choice, of what token
frequencies cost) and by quantities between members; bits per token of two tokenizers cannot be compared.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.estimates import Estimate, estimate, kinds, null_of
from gfm_utils.analyses.measures import Measure, Term, chosen, share_of
from gfm_utils.analyses.rates import SOURCE
from gfm_utils.analyses.rows import Row
from gfm_utils.tokens import is_condition, is_control

#: The corpus's code length is not that of what a transform made of it.
CONTROL_ENTROPY = Measure(
    "entropy rate, share of a uniform choice", "share", "entropy",
    (Term("entropy_rate", SOURCE), Term("uniform_entropy")), combine=share_of, null=None,
)  # fmt: skip
COMPARED = chosen("entropy_share", "context_gain_share", "js_distance", "topk_overlap_corrected", "fisher_share")


def compared(rows: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """One row a condition and quantity of ``COMPARED``, with its interval, and one for its null.

    Args:
        rows: all result tables of one report, whose conditions are of one corpus.
        conditions: ``corpus@tokenizer`` each.

    Returns:
        Result table; ``state`` is ``trained`` or the name of the null, ``axis`` is ``kind`` and ``x`` is ``text``
        or ``dna``. The interval is over members; of the corpus's entropy it is along the corpus, and a control's
        entropy has none. A quantity that the report lacks has no row.
    """
    of_corpus = ~rows["condition"].map(is_condition).astype(bool)
    return tables.table(row for condition in conditions for row in _rows(rows, condition, of_corpus))


def _rows(rows: pd.DataFrame, condition: str, of_corpus: pd.Series) -> Iterator[Row]:
    """Of the rows of a condition and of its corpus; others may be there, such as doses of the causal test."""
    of_symbols = of_corpus | (rows["metric"] != "uniform_entropy")  # and not of the tokens
    own = rows[((rows["condition"] == condition) & of_symbols) | of_corpus].assign(condition=condition)
    kind = "dna" if kinds(own)[1] else "text"
    control = is_control(condition)
    for name, measure in COMPARED.items():
        if control and name == "entropy_share":
            measure = CONTROL_ENTROPY
        base: Row = {"condition": condition, "metric": name, "axis": "kind", "x": kind}
        base["unit"] = "share" if measure.percent else "distance"
        found = estimate(measure, own)
        if found is None:
            continue
        yield {**base, "state": "trained", **_ends(found)}
        null = null_of(measure, own)
        if measure.null is not None and null is not None:
            yield {**base, "state": measure.null[0], **_ends(null)}


def _ends(found: Estimate) -> Row:
    low, high = (None if np.isnan(end) else end for end in (found.interval.low, found.interval.high))
    return {"value": found.interval.value, "low": low, "high": high, "n": len(found.members) or None}
