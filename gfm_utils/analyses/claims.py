"""The paper's claims, each with the measures that speak of it.

Each claim has one *primary* measure, chosen before the run whose numbers it judges; :mod:`.verdicts` judges by it
alone. All other measures are *robustness*: they are shown and change no verdict.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gfm_utils.analyses.measures import Measure, Term, chosen

NOT_TESTED = "not tested"
FOR, AGAINST, UNDECIDED = "for", "against", "undecided"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        text: what it says.
        measures: of it; the first is the primary one, the others are robustness.
    """

    text: str
    measures: tuple[Measure, ...]

    @property
    def terms(self) -> Iterator[Term]:
        """All that its measures and their nulls are made of."""
        for measure in self.measures:
            yield from (*measure.terms, *(measure.null[1] if measure.null else ()))

    @property
    def primary(self) -> Measure:
        """The measure that its verdict rests on."""
        return self.measures[0]


def _claim(text: str, *names: str) -> Claim:
    return Claim(text, tuple(chosen(*names).values()))


CLAIMS = (
    _claim("Hidden tokens of DNA have high entropy, those of text have not",
        "nll_share", "nll_of_frequencies", "entropy_share",
   ),
    _claim(
        "Predictions on DNA are near-uniform",
        "output_entropy_share", "effective_tokens", "kl_uniform_authors", "top_probability",
    ),
    _claim(
        "Models of DNA disagree more",
        "js_distance", "js_distance_authors", "js_distance_half", "js_distance_head", "js_distance_above_null",
        "mutual_information", "mutual_information_per_gain", "top1_agreement", "rank_biased_overlap",
    ),
    _claim(
        "Static embeddings of DNA are less stable",
        "topk_overlap_corrected", "local_spearman", "procrustes_disparity", "linear_cka_debiased",
    ),
    _claim(
        "Models of DNA keep more of their Fisher information out of the encoder",
        "fisher_share", "fisher_share_paper", "fisher_share_invariant", "embeddings_share_paper", "input_share",
        "output_share", "head_share",
    ),
    _claim(
        "Models of DNA do not use the tokens around a hidden one", "context_gain_of_layers", "context_gain_share"
    ),
)  # fmt: skip
