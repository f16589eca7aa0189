"""Answer of the chapter on many corpora."""

from collections.abc import Iterator

import pandas as pd

from gfm_utils.claims.atlas import (
    DIFFERS,
    NOT_SEPARABLE,
    UNDECIDED,
    atlas_points,
    kind_contrasts,
    slopes,
)
from gfm_utils.claims.claim import ENOUGH
from gfm_utils.claims.dose import GAIN
from gfm_utils.claims.effects import PRIMARY
from gfm_utils.claims.forecast import FORECAST, HELD, judged, left_out
from gfm_utils.figures.comparison import LABELS
from gfm_utils.figures.numbers import listed, number, percentage
from gfm_utils.measures.registry import MEASURES

SHORT = {
    "js_distance": "the distance between members",
    "topk_overlap_corrected": "the neighbours that their embeddings share",
    "fisher_share": "the encoder's share of the Fisher information",
}
_VERDICT = {
    DIFFERS: "they differ at equal gain",
    UNDECIDED: "no difference is told at equal gain",
    NOT_SEPARABLE: "they cannot be compared at equal gain, for too few corpora gain alike",
}


def counted_corpora(points: pd.DataFrame) -> str:
    """How many corpora of which sort, in words: ``14 genomes, 4 sets of transcripts and 10 texts``."""
    transcripts = int((points["group"] == "transcript").sum())
    of_kind = points["kind"].value_counts()
    sorts = {
        "genomes": int(of_kind.get("dna", 0)) - transcripts, "sets of transcripts": transcripts,
        "sets of proteins": int(of_kind.get("protein", 0)), "texts": int(of_kind.get("text", 0)),
    }  # fmt: skip
    words = [f"{count} {name}" for name, count in sorts.items() if count]
    return listed(words)


def atlas_sentence(points: pd.DataFrame) -> str:
    """The finding in one sentence: what gain explains among DNA, where text lies, and whether that can be told."""
    dna, text = (points[points["kind"] == kind] for kind in ("dna", "text"))
    within = slopes(dna).set_index("metric")["gain_alone"]
    shares = [f"{percentage(within[name], 0)} in {SHORT[name]}" for name in PRIMARY]
    most, least = dna[GAIN].max(), text[GAIN].min()
    apart = (
        f"; but no text gains less than {number(least, digits=2)} bits per token and no DNA more than "
        f"{number(most, digits=2)}, so that between the two a sequence's own nature cannot be told from how "
        "predictable it is"
    )
    return (
        f"Across {counted_corpora(points)}, what models gain from context explains much of how DNA differs "
        f"from DNA ({listed(shares)}){apart if most < least else ''}."
    )


def kind_sentences(points: pd.DataFrame) -> Iterator[str]:
    """A sentence a pair of kinds: the verdicts on what is left between them at equal gain."""
    for (kind, other), pair in kind_contrasts(points).groupby(["kind", "other"], sort=False):
        clauses = [
            f"in {listed([SHORT[name] for name in rows['metric']])} {_VERDICT[str(outcome)]}"
            for outcome, rows in pair.groupby("outcome", sort=False)
        ]
        yield f"*{LABELS[str(kind)]} beside {LABELS[str(other)]}*: {'; '.join(clauses)}."


def atlas_answer(table: pd.DataFrame, forecasts: pd.DataFrame) -> str:
    """The finding, how far the models have learned, the verdicts on kinds, and what forecasts are worth.

    Args:
        table: the recorded run.
        forecasts: of :func:`gfm_utils.claims.forecast.left_out`.
    """
    points = atlas_points(table)
    return "\n".join([
        f"**{atlas_sentence(points)}**", "", *(f"- {line}" for line in (
            *paper_sentences(points), *kind_sentences(points), _learned(points), _forecasts(points, forecasts),
        )), "",
    ])  # fmt: skip


def paper_sentences(points: pd.DataFrame) -> Iterator[str]:
    """What the measures say for and against the paper: where all DNA differs from all text.

    The paper has more uncertain predictions, more disagreement, fewer shared neighbours and a smaller share of the
    encoder in DNA.
    """
    words: dict[str, list[str]] = {"For the paper": [], "Against the paper": [], "Neither": []}
    for name in ("output_entropy_share", *PRIMARY):
        measure = MEASURES[name]
        ends = points.groupby("kind")[name].agg(["min", "max"])
        (low, high), (text_low, text_high) = ends.loc["dna"], ends.loc["text"]
        side = "For the paper" if (low > text_high if measure.above else high < text_low) else "Neither"
        if high < text_low if measure.above else low > text_high:
            side = "Against the paper"
        spans = [
            f"{number(first, measure.percent)} to {number(last, measure.percent)}"
            for first, last in ((low, high), (text_low, text_high))
        ]
        words[side].append(f"{measure.text} is {spans[0]} in DNA and {spans[1]} in text")
    yield from (f"*{side}*: {'; '.join(clauses)}." for side, clauses in words.items() if clauses)


def _learned(points: pd.DataFrame) -> str:
    """How much there was to gain, and how much of it these models have."""
    saved = points[["counting_gain", "code_gain"]].max(axis=1)
    shares = (points[GAIN] / saved).groupby(points["kind"]).median()
    each = ", ".join(f"{percentage(share, 0)} in {LABELS[str(kind)]}" for kind, share in shares.items())
    few = [LABELS[str(kind)] for kind, share in shares.items() if share < ENOUGH]
    rule = (
        f"by the rule of the front page that is too little for a verdict on {' and '.join(few)}; " if few else ""
    )
    return (
        "These models are small and trained briefly: of what counting on both sides or a code saves on hidden "
        f"tokens they save {each} (medians over corpora); {rule}longer training moves every point to the right, "
        "and can move kinds apart."
    )


def _forecasts(points: pd.DataFrame, forecasts: pd.DataFrame) -> str:
    """Which measures can be forecast, and how well."""
    verdicts = judged(forecasts)
    family = verdicts[verdicts["by"] == "family"].set_index("metric")
    better = [name for name in FORECAST if family.loc[name, "score"] < family.loc[name, "mean_score"]]
    dna = judged(left_out(points[points["kind"] == "dna"])).set_index("metric")
    among = [name for name in FORECAST if dna.loc[name, "score"] < dna.loc[name, "mean_score"]]
    gain, of_kind = family.loc[GAIN], verdicts[verdicts["by"] == "kind"]
    return (
        f"Counting alone forecasts {len(better)} of {len(FORECAST)} measures better than the mean of the other "
        f"corpora does, which is much the gap between text and the rest; fitted to DNA alone, {len(among)} of "
        f"{len(FORECAST)} measures of DNA. The context gain is forecast within "
        f"{number(gain['error'], digits=2)} bits per token on average "
        f"(that mean: {number(gain['mean_error'], digits=2)}), with intervals that are to hold "
        f"{percentage(HELD, 0)} of the corpora and hold {percentage(gain['held'], 0)}. Of "
        "a kind that the fit has not seen, intervals are not to be trusted: they hold "
        f"{percentage(of_kind['held'].min(), 0)} to {percentage(of_kind['held'].max(), 0)}, by measure."
    )
