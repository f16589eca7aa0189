"""The registry of measures: every number that claims, chapters, figures and reports speak of, by one name.

A new measure is a function that yields rows of a result table, and an entry here, by which it is read.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from gfm_utils.measures.controls import NO_LAYERS

Combine = Callable[..., pd.DataFrame]
TOKEN = "bits/token"
#: Metric, axis or chapter -> the function that makes it, where that has another name than the chapter.
_MADE_BY = {
    "corpora": "token_table", "leaked_windows": "corpus_table", "entropy": "corpus_entropies",
    "predictions": "output_distributions", "strand_js_distance": "strand_disagreement",
    "member_js_distance": "strand_disagreement", "fisher": "fisher_information", "tasks": "task_performance",
    "ensembles": "claims.learning_curves", "embeddings": "static_embeddings", "layer": "contextual_embeddings",
}  # fmt: skip


@dataclass(frozen=True)
class Term:
    """A quantity of the result tables; ``least`` takes the smallest of several rows (the best coder).

    An axis without ``x`` is one on which the quantity has one row, wherever that is.
    """

    metric: str
    axis: str | None = None
    x: str | None = None
    unit: str | None = None
    least: bool = False


@dataclass(frozen=True)
class Measure:
    """One number of a condition."""

    text: str  # what is measured, in words
    unit: str  # of its values in result tables; a ``share`` is written as a percentage
    chapter: str  # where the evidence is
    terms: tuple[Term, ...]  # what it is computed from
    above: bool | None = None  # whether the paper says that DNA has more of it; None: nothing above the null
    combine: Combine = lambda one: (
        one
    )  # one number from those of the terms (rows of members or pairs, the summary)
    #: Its name, and the terms that take the place of ``terms``; no terms: members in that state.
    null: tuple[str, tuple[Term, ...]] | None = ("untrained", ())
    figure: str | None = None  # name of the figure of the chapter that shows it
    #: Of a measure whose ``above`` is None, what above the null counts as nothing; None: a share of what can be
    #: saved (:mod:`gfm_utils.claims.verdicts`).
    negligible: float | None = None

    @property
    def percent(self) -> bool:
        """Whether values are written as percentages."""
        return self.unit == "share"

    @property
    def made_by(self) -> str:
        """The function of the package whose table has its terms, ``measures.disagreement``."""
        of = self.terms[0]
        name = _MADE_BY.get(of.metric) or _MADE_BY.get(of.axis or "") or _MADE_BY.get(self.chapter, self.chapter)
        return name if "." in name else f"measures.{name}"


def share_of(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """One number over another."""
    return part / whole


def of_uniform(part: pd.DataFrame, entropy: pd.DataFrame, kl: pd.DataFrame) -> pd.DataFrame:
    """A share of log2 V, which is H(p) + KL(p || uniform)."""
    return part / (entropy + kl)


def beyond_chance(agreement: pd.DataFrame, chance: pd.DataFrame) -> pd.DataFrame:
    """An agreement without what chance gives: 0 is chance and 1 agreement everywhere."""
    return (agreement - chance) / (1 - chance)


def difference(value: pd.DataFrame, less: pd.DataFrame) -> pd.DataFrame:
    """A number without another: what is above a null that may be nearly nothing, or what a lower loss saves."""
    return value - less


def saved(loss: pd.DataFrame, level: pd.DataFrame) -> pd.DataFrame:
    """What a loss saves beside a level."""
    return level - loss


def perplexity(entropy: pd.DataFrame) -> pd.DataFrame:
    """As many equally likely tokens have an entropy of so many bits."""
    return 2**entropy


OUTPUT, KL = Term("output_entropy", unit=TOKEN), Term("kl_from_uniform")
UNIGRAM, GAIN, JS = Term("unigram_nll", unit=TOKEN), Term("context_gain", unit=TOKEN), Term("js_distance")
LOSS, MATCHED = Term("nll", unit=TOKEN), "js_distance_matched_null"
COUNTING, COUNTING_LEFT = (Term("ngram_nll", "sides", sides, TOKEN) for sides in ("both", "left"))
WINDOW_CODE = Term("window_code_nll", unit=TOKEN)
#: The last layer, step of training or order of blocks, however many there are, in tables that give it this name.
LAST, LAST_OF = "last", ("layer", "tokens", "order")
VALIDATION_LEVEL = Term("validation_unigram_nll")


def _truncated(text: str, suffix: str, top_p: str, figure: str) -> Measure:
    """The distance between the likeliest tokens that hold a share of the probability."""
    return Measure(
        f"Jensen–Shannon distance at top-p {top_p}, {text}", "1", "disagreement",
        (Term(f"js_distance{suffix}", "top_p", top_p),), True,
        null=("matched null", (Term(f"{MATCHED}{suffix}", "top_p", top_p),)), figure=figure,
    )  # fmt: skip


def _neighbourhood(text: str, unit: str, metric: str, k: str) -> Measure:
    return Measure(text, unit, "embeddings", (Term(metric, "k", k),), False, figure="fig-neighbourhoods")


def _shape(text: str, metric: str, above: bool) -> Measure:
    return Measure(text, "1", "embeddings", (Term(metric),), above, figure="fig-alignment")


def _last_layer(text: str, unit: str, metric: str, figure: str = "fig-layers") -> Measure:
    return Measure(text, unit, "embeddings", (Term(metric, "layer", LAST),), False, figure=figure)


def _fisher(text: str, metric: str, group: str, above: bool, figure: str) -> Measure:
    return Measure(text, "share", "fisher", (Term(metric, "group", group),), above, figure=figure)


#: Name in result tables -> the measure.
MEASURES: dict[str, Measure] = {
    "entropy_share": Measure(
        "shortest code of the corpus (an upper bound), share of a uniform choice", "share", "entropy",
        (Term("code_length", least=True), Term("uniform_entropy")), True, share_of, None,
        "fig-conditional-entropy",
    ),
    "tokens": Measure("tokens of the training part", "tokens", "corpora", (Term("tokens"),), null=None),
    "symbols_per_token": Measure(
        "bases, characters or residues of a token", "symbols", "corpora", (Term("symbols_per_token"),), null=None,
        figure="fig-token-frequency",
    ),
    "leaked_windows": Measure(
        "test windows with a stretch that stands in the training part", "share", "corpora",
        (Term("leaked_windows", "part", "test"),), null=None,
    ),
    "commonest_token": Measure(
        "share of the commonest token of the training part", "share", "corpora",
        (Term("token_frequency", "rank", "1"),), null=None, figure="fig-token-frequency",
    ),
    "validation_level": Measure(
        "what token frequencies cost on the validation part, bits per token", TOKEN, "ensembles",
        (VALIDATION_LEVEL,), null=None, figure="fig-learning",
    ),
    "validation_gain": Measure(
        "context gain on the validation part at the end of training, bits per token", TOKEN, "ensembles",
        (Term("validation_nll", "tokens", LAST), VALIDATION_LEVEL), False, saved, None, "fig-learning",
    ),
    "validation_counting": Measure(
        "what counting the tokens before saves there, bits per token", TOKEN, "ensembles",
        (VALIDATION_LEVEL, Term("conditional_entropy", "order", LAST)), False, difference, None, "fig-learning",
    ),
    "nll": Measure(
        "loss on hidden tokens, bits per token", TOKEN, "predictions", (LOSS,), True,
        null=("token frequencies", (UNIGRAM,)), figure="fig-uncertainty",
    ),
    "nll_share": Measure(
        "loss on hidden tokens, share of log2 V", "share", "predictions", (LOSS, OUTPUT, KL), True, of_uniform,
        ("token frequencies", (UNIGRAM, OUTPUT, KL)), "fig-uncertainty",
    ),
    "nll_of_frequencies": Measure(
        "loss on hidden tokens, share of what token frequencies cost", "share", "predictions", (LOSS, UNIGRAM),
        True, share_of, figure="fig-uncertainty",
    ),
    "output_entropy": Measure(
        "output entropy, bits per token", TOKEN, "predictions", (OUTPUT,), True, figure="fig-uncertainty"
    ),
    "output_entropy_share": Measure(
        "output entropy, share of log2 V", "share", "predictions", (OUTPUT, OUTPUT, KL), True, of_uniform,
        figure="fig-uncertainty",
    ),
    "effective_tokens": Measure(
        "tokens that a prediction is spread over, 2 to the output entropy", "1", "predictions", (OUTPUT,), True,
        perplexity, ("token frequencies", (UNIGRAM,)), "fig-uncertainty",
    ),
    "kl_uniform_authors": Measure(
        "KL(uniform‖p), the paper's program, bits", TOKEN, "predictions", (Term("kl_uniform_authors"),), False
    ),
    "top_probability": Measure(
        "probability of the likeliest token", "share", "predictions", (Term("rank_probability", "rank", "1"),),
        False, figure="fig-rank-probability",
    ),
    "accuracy": Measure(
        "hidden tokens guessed right", "share", "predictions", (Term("accuracy"),), False,
        null=("commonest token", (Term("majority_accuracy"),)),
    ),
    "calibration_error": Measure(
        "calibration error", "share", "predictions", (Term("expected_calibration_error"),),
        null=("calibrated", (Term("expected_calibration_error_chance"),)), figure="fig-reliability",
    ),
    "context_gain": Measure(
        "context gain, bits per token", TOKEN, "predictions", (GAIN,), False, figure="fig-context"
    ),
    "context_gain_of_layers": Measure(
        "context gain, compared with members without layers, bits per token", TOKEN, "predictions", (GAIN,),
        null=(NO_LAYERS, ()), figure="fig-uncertainty",
    ),
    "context_gain_share": Measure(
        "context gain, share of what token frequencies cost", "share", "predictions", (GAIN, UNIGRAM), False,
        share_of, figure="fig-context",
    ),
    "task_gain": Measure(
        "probe of the best layer, area under the curve above that of counting (DNA: coding against intergenic)",
        "area", "tasks", (Term("probe_gain"),), null=("counting", ()), negligible=0.01, figure="fig-task-gain",
    ),
    "token_frequencies": Measure(
        "what token frequencies cost, share of log2 V", "share", "predictions", (UNIGRAM, OUTPUT, KL), True,
        of_uniform, None,
    ),
    "counting_gain": Measure(
        "what counting on both sides saves, bits per token", TOKEN, "predictions", (UNIGRAM, COUNTING), False,
        difference, None, "fig-context",
    ),
    "code_gain": Measure(
        "what a code saves that looks no further than a window, bits per token", TOKEN, "predictions",
        (UNIGRAM, WINDOW_CODE), False, difference, None, "fig-context",
    ),
    "counting_gain_left": Measure(
        "what counting before a token saves, bits per token", TOKEN, "predictions", (UNIGRAM, COUNTING_LEFT),
        False, difference, None, "fig-context",
    ),
    "js_distance": Measure(
        "Jensen–Shannon distance between members", "1", "disagreement", (JS,), True,
        null=("matched null", (Term(MATCHED),)), figure="fig-top-p",
    ),
    "js_distance_authors": _truncated("the paper's truncation", "_authors", "0.5", "fig-top-p"),
    "js_distance_half": _truncated("nucleus truncation", "", "0.5", "fig-top-p"),
    "js_distance_head": _truncated("nucleus truncation", "", "0.05", "fig-top-p"),
    "js_distance_above_null": Measure(
        "Jensen–Shannon distance above its matched null", "1", "disagreement", (JS, Term(MATCHED)), True,
        difference, figure="fig-top-p",
    ),
    "js_distance_of_null": Measure(
        "Jensen–Shannon distance, share of its matched null", "share", "disagreement", (JS, Term(MATCHED)), True,
        share_of, None, "fig-top-p",
    ),
    "mutual_information": Measure(
        "mutual information of prediction and member, bits per token", TOKEN, "disagreement",
        (Term("mutual_information"),), True,
    ),
    "mutual_information_per_gain": Measure(
        "mutual information, share of the context gain", "share", "disagreement",
        (Term("mutual_information"), GAIN), True, share_of, None,
    ),
    "top1_agreement": Measure(
        "same likeliest token, beyond chance", "share", "disagreement",
        (Term("top1_agreement"), Term("top1_agreement_chance")), False, beyond_chance, figure="fig-ranks",
    ),
    "rank_biased_overlap": Measure(
        "rank-biased overlap, beyond chance", "share", "disagreement",
        (Term("rank_biased_overlap"), Term("rank_biased_overlap_chance")), False, beyond_chance,
        figure="fig-ranks",
    ),
    "topk_overlap_corrected": _neighbourhood(
        "10 nearest embeddings shared, beyond chance", "share", "topk_overlap_corrected", "10"
    ),
    "topk_shared": Measure(
        "of a token's 10 nearest embeddings, shared by two members", "tokens", "embeddings",
        (Term("topk_shared", "k", "10"),), False, null=("chance", (Term("topk_shared_chance", "k", "10"),)),
    ),
    "local_spearman": _neighbourhood(
        "local Spearman among the 100 nearest embeddings", "1", "local_spearman", "100"
    ),
    "procrustes_disparity": _shape("Procrustes disparity of embeddings", "procrustes_disparity", True),
    "linear_cka_debiased": _shape("linear CKA of embeddings, debiased", "linear_cka_debiased", False),
    "contextual_cka": _last_layer(
        "linear CKA of windows in the last layer, debiased", "1", "pooled_linear_cka_debiased"
    ),
    "contextual_alignment": _last_layer(
        "10 nearest windows shared in the last layer, beyond chance", "share",
        "pooled_neighbour_alignment_corrected",
    ),
    "effective_rank": _last_layer(
        "effective rank of tokens in the last layer, dimensions", "1", "effective_rank"
    ),
    "anisotropy": _last_layer("mean cosine of tokens in the last layer", "1", "anisotropy"),
    "tokens_cka": _last_layer("linear CKA of tokens in the last layer, debiased", "1", "linear_cka_debiased"),
    "tokens_alignment": _last_layer(
        "nearest tokens shared in the last layer, beyond chance", "share", "neighbour_alignment_corrected"
    ),
    "strand_js_distance": Measure(
        "Jensen–Shannon distance of a base's predictions from both strands", "1", "disagreement",
        (Term("strand_js_distance"),), None,
        null=("token frequencies", (Term("strand_js_distance_unigram"),)), figure="fig-strands",
    ),
    "member_js_distance": Measure(
        "Jensen–Shannon distance of a base's predictions by two members", "1", "disagreement",
        (Term("member_js_distance"),), figure="fig-strands",
    ),
    "fisher_share": _fisher(
        "encoder's share of the Fisher information", "fisher_share", "encoder", False, "fig-fisher-flow"
    ),
    "fisher_share_paper": _fisher(
        "encoder's share, the paper's computation", "fisher_share_paper", "encoder", False, "fig-fisher-paper"
    ),
    "fisher_share_invariant": _fisher(
        "encoder's share, invariant to rescaling", "fisher_share_invariant", "encoder", False,
        "fig-fisher-rescaled",
    ),
    "embeddings_share_paper": _fisher(
        "embeddings' share, the paper's computation", "fisher_share_paper", "embeddings", True,
        "fig-fisher-paper",
    ),
    "embeddings_share": _fisher("embeddings' share", "fisher_share", "embeddings", True, "fig-fisher-shares"),
    "decoder_share": _fisher(
        "share of the matrix that decodes", "fisher_share", "decoder.weight", True, "fig-fisher-shares"
    ),
    "head_share": _fisher("head's share", "fisher_share", "head", True, "fig-fisher-shares"),
    "input_share": _fisher(
        "embeddings' share, the path that embeds", "fisher_share", "input", True, "fig-fisher-shares"
    ),
    "output_share": _fisher(
        "embeddings' share, the path that decodes", "fisher_share", "output", True, "fig-fisher-shares"
    ),
    "context_gain_there": Measure(
        "context gain on the tokens of the Fisher information, bits per token", TOKEN, "fisher",
        (Term("context_gain", "on", "fisher_tokens"),), False, null=("context at random", ()),
        figure="fig-fisher-gain",
    ),
}  # fmt: skip


def chosen(*names: str) -> dict[str, Measure]:
    """Measures by their names, in this order."""
    return {name: MEASURES[name] for name in names}
