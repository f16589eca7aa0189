"""Answers of the chapters on what ensembles predict, embed, and are sensitive to."""

import pandas as pd
from IPython.display import Markdown

from gfm_utils.book.answers.shared import bullets, claims_lines, note
from gfm_utils.figures.numbers import interval, percentage, with_interval
from gfm_utils.figures.select import conditions_of, value_of


def predictions_answer(table: pd.DataFrame) -> str:
    """How certain and how right the predictions are."""

    def line(condition: str) -> str:
        def of(metric: str, state: str = "trained", unit: str = "bits/token", **where: str) -> pd.Series:
            return value_of(table, condition, metric, state=state, unit=unit, **where)

        entropy, kl = of("output_entropy"), of("kl_from_uniform")
        majority = value_of(table, condition, "majority_accuracy")["value"]
        return (
            f"output entropy {with_interval(entropy)} of at most {entropy['value'] + kl['value']:.2f} bits per "
            f"token (untrained {of('output_entropy', 'untrained')['value']:.2f}); "
            f"loss {with_interval(of('nll'))}, {_gain(of('context_gain'))} than token frequencies, "
            f"{_gain(of('context_gain', axis='against', x='left'))} than n-grams of the tokens before, "
            f"{_gain(of('context_gain', axis='against', x='both'))} than n-grams on both sides; "
            f"accuracy {with_interval(of('accuracy', unit='share'), 1, percent=True)} "
            f"(always the commonest token: {percentage(majority)}); calibration error "
            f"{with_interval(of('expected_calibration_error', unit='share'), 1, percent=True)} "
            "(a calibrated model's: "
            f"{percentage(of('expected_calibration_error_chance', unit='share')['value'])})."
        )

    return "\n".join([*claims_lines(table), *bullets(table, line), note()])


def _gain(row: pd.Series) -> str:
    """``0.20 [0.15, 0.25] bits better``, or worse."""
    if row["value"] >= 0:
        return f"{with_interval(row)} bits better"
    return f"{interval(-row['value'], -row['high'], -row['low'], digits=2)} bits worse"


def disagreement_answer(table: pd.DataFrame) -> str:
    """How far members of one ensemble disagree."""

    def line(condition: str) -> str:
        def of(metric: str, state: str = "trained") -> pd.Series:
            return value_of(table, condition, metric, state=state)

        return (
            f"Jensen–Shannon distance {with_interval(of('js_distance'), 3)} "
            f"(untrained {of('js_distance', 'untrained')['value']:.3f}, "
            f"unrelated tokens {of('js_distance_mismatched')['value']:.3f}, "
            f"matched null {of('js_distance_matched_null')['value']:.3f}); "
            f"mutual information {with_interval(of('mutual_information'), 4)} bits per token; "
            f"same likeliest token {with_interval(of('top1_agreement'), 0, percent=True)} of the time "
            f"(by chance {with_interval(of('top1_agreement_chance'), 0, percent=True)}); rank-biased overlap "
            f"{with_interval(of('rank_biased_overlap'))} "
            f"(by chance {of('rank_biased_overlap_chance')['value']:.2f})."
        )

    return "\n".join([*claims_lines(table), *bullets(table, line), note()])


def strand_answer(table: pd.DataFrame) -> Markdown:
    """Whether a strand flip is worse than another seed."""

    def line(condition: str) -> str:
        flip, seed = (
            value_of(table, condition, f"{m}_js_distance", state="trained") for m in ("strand", "member")
        )
        bare = value_of(table, condition, "strand_js_distance", state="untrained")["value"]
        more = "more than" if flip["value"] > seed["value"] else "no more than"
        return (
            f"the other strand moves a base's distribution by {with_interval(flip, 3)} (untrained {bare:.3f}, "
            f"token frequencies alone {value_of(table, condition, 'strand_js_distance_unigram')['value']:.3f}), "
            f"{more} another seed does: {with_interval(seed, 3)}."
        )

    if table.empty:
        return Markdown("This run has no DNA, and so no other strand.")
    return Markdown("\n".join([*bullets(table, line), note()]))


def static_answer(table: pd.DataFrame) -> str:
    """How stable static embeddings are."""
    sizes = sorted({int(x) for x in table.loc[table["axis"] == "k", "x"]})
    k = str(max(size for size in sizes if size <= 10))

    def line(condition: str) -> str:
        def of(metric: str, state: str = "trained", **where: str) -> pd.Series:
            return value_of(table, condition, metric, state=state, **where)

        at = {"axis": "k", "x": k}
        order = ""
        if int(k) > 1:  # one neighbour has no order
            order = (
                f"the order of their similarities correlates with {with_interval(of('local_spearman', **at), 3)} "
                f"(untrained {of('local_spearman', 'untrained', **at)['value']:.3f}); "
            )
        return (
            f"of {k} nearest neighbours two members share {with_interval(of('topk_overlap', **at), 3)} "
            f"(chance {of('topk_overlap_chance', **at)['value']:.3f}, "
            f"untrained {of('topk_overlap', 'untrained', **at)['value']:.3f}); "
            + order
            + f"Procrustes disparity {with_interval(of('procrustes_disparity'), 3)} "
            f"(untrained {of('procrustes_disparity', 'untrained')['value']:.3f}); "
            f"debiased linear CKA {with_interval(of('linear_cka_debiased'), 3)} "
            f"(untrained {of('linear_cka_debiased', 'untrained')['value']:.3f})."
        )

    return "\n".join([*claims_lines(table), *bullets(table, line), note()])


def contextual_answer(table: pd.DataFrame) -> str:
    """What the last layer looks like, and how far members agree there, beside the embeddings."""

    def line(condition: str) -> str:
        layers = table.loc[(table["condition"] == condition) & (table["axis"] == "layer"), "x"]
        last = list(dict.fromkeys(layers))[-1]

        def of(metric: str, layer: str, state: str = "trained") -> pd.Series:
            return value_of(table, condition, metric, state=state, axis="layer", x=layer)

        def both(metric: str, digits: int) -> str:
            return (
                f"{with_interval(of(metric, last), digits)} (in the embeddings "
                f"{of(metric, 'embeddings')['value']:.{digits}f}, "
                f"untrained {of(metric, last, 'untrained')['value']:.{digits}f})"
            )

        return (
            f"in the last layer tokens fill {both('effective_rank', 1)} dimensions, with a mean cosine of "
            f"{both('anisotropy', 3)}; between members, debiased linear CKA {both('linear_cka_debiased', 3)}, "
            f"shared nearest neighbours beyond chance {both('neighbour_alignment_corrected', 3)}."
        )

    return "\n".join([*bullets(table, line), note()])


def fisher_answer(table: pd.DataFrame) -> str:
    """Where the Fisher information sits, by the paper's groups and taken apart."""

    def line(condition: str) -> str:
        def of(group: str, state: str = "trained", metric: str = "fisher_share") -> pd.Series:
            return value_of(table, condition, metric, state=state, axis="group", x=group)

        gain, blind = (
            value_of(table, condition, "context_gain", state=state, axis="on", x="fisher_tokens")
            for state in ("trained", "random_context")
        )
        return (
            f"encoder {with_interval(of('encoder'), 1, percent=True)} "
            f"(untrained {percentage(of('encoder', 'untrained')['value'])}, with its context at random "
            f"{percentage(of('encoder', 'random_context')['value'])}, by the invariant measure "
            f"{percentage(of('encoder', metric='fisher_share_invariant')['value'])}); "
            f"embeddings, as in the paper, {with_interval(of('embeddings'), 1, percent=True)}, of which "
            f"{with_interval(of('input'), 1, percent=True)} through the input and "
            f"{with_interval(of('decoder.weight'), 1, percent=True)} through the output; "
            f"head {with_interval(of('head'), 1, percent=True)}. "
            f"Its context is worth {with_interval(gain)} bits per token to it (at random {blind['value']:.2f})."
        )

    lines = [*claims_lines(table), *bullets(table, line)]
    controls = {
        "shuffled": "trained on shuffled tokens**, where there is no context to be learned",
        "no layers": "without layers**, which can use no context",
    }
    for state, words in controls.items():
        for condition in conditions_of(table[(table["state"] == state).fillna(False)]):
            encoder, output = (
                value_of(table, condition, "fisher_share", state=state, axis="group", x=group)
                for group in ("encoder", "output")
            )
            lines.append(
                f"- **{condition}, {words}: encoder {with_interval(encoder, 1, percent=True)}, output "
                f"{with_interval(output, 1, percent=True)}."
            )
    return "\n".join([*lines, note()])
