"""The answer of each chapter in sentences, every number taken from the run's own result tables.

A sentence says what was measured, its interval and its control; it compares, and claims nothing that the
numbers of this run do not show.
"""

from collections.abc import Callable

import pandas as pd
from IPython.display import Markdown

from gfm_utils.ensembles import duration
from gfm_utils.entropy.calibration import nsb_advantage
from gfm_utils.entropy.codelength import Coder
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import Matching
from gfm_utils.figures.names import POSITION_NAMES, estimator_name
from gfm_utils.figures.select import conditions_of, value_of

Lines = list[str]


def _number(row: pd.Series, digits: int = 2, percent: bool = False) -> str:
    """Value with its interval, as ``1.23 [1.20, 1.26]`` or ``12 % [10 %, 14 %]``."""

    def write(value: float) -> str:
        return f"{100 * value:.{digits}f} %" if percent else f"{value:.{digits}f}"

    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return write(row["value"])
    return f"{write(row['value'])} [{write(row['low'])}, {write(row['high'])}]"


def _bullets(table: pd.DataFrame, line: Callable[[str], str]) -> Lines:
    return [f"- **{condition}**: {line(condition)}" for condition in conditions_of(table)]


def _note() -> str:
    return "\nBrackets are 95 % intervals over the members of each ensemble."


def corpora_answer(data: pd.DataFrame, tokens: pd.DataFrame) -> str:
    """What went in: sizes, leaks and tokens."""
    lines = []
    for corpus in conditions_of(data):
        own = data[data["condition"] == corpus]
        size = own[own["metric"] == "symbols"].iloc[0]
        used = own.loc[own["metric"] == "part_symbols", "value"].sum()
        leak = own[(own["metric"] == "leaked_windows") & (own["x"] == "test")].iloc[0]
        lines.append(
            f"- **{corpus}**: {size['value']:,.0f} {size['unit']}, of which this run uses {used:,.0f}; "
            f"{100 * leak['value']:.1f} % of {leak['n']:,} test windows repeat a stretch of the training part."
        )

    def line(condition: str) -> str:
        per = value_of(tokens, condition, "symbols_per_token")
        used = value_of(tokens, condition, "vocabulary_used")
        return (
            f"{per['value']:.2f} {per['unit'].replace('/', ' per ')}; "
            f"{100 * used['value']:.0f} % of the vocabulary occurs in the training part."
        )

    return "\n".join([*lines, *_bullets(tokens, line)])


def entropy_answer(table: pd.DataFrame) -> str:
    """How unpredictable each corpus is, as share of a uniform choice, and what its tokens cost."""
    lines = []
    codes = table[table["metric"] == "code_length"]
    for corpus in dict.fromkeys(codes["condition"]):
        own = codes[codes["condition"] == corpus].set_index("estimator")
        best = own.loc[own["value"].idxmin()]
        uniform = table[(table["condition"] == corpus) & (table["metric"] == "uniform_entropy")].iloc[0]
        line = (
            f"- **{corpus}**: at most {_number(best, 3)} {_per(best)} "
            f"({estimator_name(str(best.name))}, {best['n']:,} {_symbols(best)}), "
            f"{100 * best['value'] / uniform['value']:.0f} % of a uniform choice ({uniform['value']:.2f} bits)"
        )
        if "context_mixing_repeat_free" in own.index:
            line += f"; from at most 12 bases back {_number(own.loc['context_mixing_repeat_free'], 3)}"
        lines.append(line + ".")
        lines += _classes_line(table, corpus)
    tokens = table[(table["metric"] == "unigram_entropy") & (table["estimator"] == "grassberger")]
    for condition in [c for c in dict.fromkeys(tokens["condition"]) if "@" in c]:
        per_token, per_symbol = (
            tokens[(tokens["condition"] == condition) & ((tokens["unit"] == "bits/token") == flag)].iloc[0]
            for flag in (True, False)
        )
        alone = tokens[tokens["condition"] == condition.partition("@")[0]]
        beside = f", beside {alone.iloc[0]['value']:.3f} for single {_symbols(per_symbol)}" if len(alone) else ""
        lines.append(
            f"- **{condition}**: a token carries {per_token['value']:.2f} bits by its frequency alone, "
            f"{per_symbol['value']:.3f} {_per(per_symbol)}{beside}."
        )
    return "\n".join([*lines, "\nBrackets are 95 % intervals along the corpus."])


def _per(row: pd.Series) -> str:
    """``bits per base``."""
    return str(row["unit"]).replace("/", " per ")


def _symbols(row: pd.Series) -> str:
    """``bases`` or ``characters``."""
    return str(row["unit"]).partition("/")[2] + "s"


def _classes_line(table: pd.DataFrame, corpus: str) -> Lines:
    """What repeats and coding bases cost, where that is known."""
    rows = table[(table["condition"] == corpus) & (table["metric"] == "feature_code_length")]
    cost = rows[rows["axis"].notna()].set_index("x")
    named = {"repeat": "soft-masked repeats", "coding": "coding bases", "intergenic": "intergenic bases"}
    known = [f"{text} {_number(cost.loc[name], 3)}" for name, text in named.items() if name in cost.index]
    return [f"  By class, bits per base: {'; '.join(known)}."] if known else []


def calibration_answer(table: pd.DataFrame) -> Markdown:
    """What the calibration shows, in numbers: the corrected estimators, NSB's advantage, and match lengths.

    Args:
        table: of `gfm_utils.entropy.calibration.calibrate`.
    """
    bias = table[table["metric"] == "entropy_bias"]
    bias = bias.assign(size=bias["x"].astype(float), error=bias["value"].abs())
    hidden = bias["condition"] == "repeats"  # no count sees those
    corrected = bias["estimator"].isin(set(Estimator) - {Estimator.PLUGIN})
    counted = bias[corrected & ~hidden]
    sound = counted[counted["trusted"].fillna(False).astype(bool)]
    worst = sound.loc[sound["error"].idxmax()]
    lines = [
        f"- Where they are trusted ({len(sound)} of {len(counted)} cases), the corrected estimators are off by "
        f"{sound['error'].median():.5f} bits in the median and by {worst['error']:.3f} at most "
        f"({estimator_name(worst['estimator'])} on {worst['condition']}, {worst['size']:,.0f} symbols)."
    ]
    for source, size in (("markov_3", 1e6), ("markov_8", 1e7)):
        here = counted[(counted["condition"] == source) & (counted["size"] == size)]
        if len(here):
            errors = ", ".join(
                f"{estimator_name(row['estimator'])} {row['value']:+.4f}" for _, row in here.iterrows()
            )
            lines.append(f"- {source} at {size:,.0f} symbols, bias in bits: {errors}.")
    ratio = nsb_advantage(table).assign(kind=lambda found: found["condition"].str.partition("_")[0])
    for kind, own in ratio[ratio["kind"].isin(["dirichlet", "zipf"])].groupby("kind"):
        few = own[~own["trusted"]]
        if len(few):
            best = few.loc[few["ratio"].idxmax()]
            lines.append(
                f"- NSB on {kind} sources, undersampled ({len(few)} cases): the error of the best other estimator "
                f"is {few['ratio'].median():.2f} times NSB's in the median, and at most {best['ratio']:.1f} times "
                f"({best['condition']}, {best['symbols']:,} symbols)."
            )
    matched = bias[bias["estimator"].isin(list(Matching)) & ~hidden]
    if len(matched):
        last = matched[matched["size"] == matched["size"].max()]
        lines.append(
            f"- Match lengths at {last['size'].max():,.0f} symbols are off by {last['error'].median():.3f} bits "
            f"in the median and by {last['error'].max():.3f} at most."
        )
    code = bias[bias["estimator"] == Coder.CONTEXT_MIXING.value]
    code = code[code["size"] == code["size"].max()]
    plain = code[code["condition"].str.startswith("markov_") & ~code["condition"].str.contains("256")]
    if len(plain):
        lines.append(
            f"- The context mixer's code at {plain['size'].max():,.0f} symbols is {plain['value'].min():.4f} to "
            f"{plain['value'].max():.4f} bits above the rate of Markov chains over four letters: learning costs."
        )
    if hidden.any():
        copied, found = bias[corrected & hidden], code[code["condition"] == "repeats"]["value"]
        lines.append(
            f"- On the source of mutated repeats every estimator from counts errs by {copied['error'].min():.3f} "
            "bits or more, at any size, trusted or not"
            + (f"; the context mixer's code is {found.iloc[0]:.3f} bits above the rate." if len(found) else ".")
        )
    return Markdown("\n".join(lines))


def match_sentence(table: pd.DataFrame) -> Markdown:
    """Both match-length estimates of each corpus beside its shortest code, and what rules the harmonic one."""
    lines = []
    rates = table[table["metric"] == "entropy_rate"]
    for corpus in dict.fromkeys(rates["condition"]):
        own = table[table["condition"] == corpus]
        value = own[own["metric"] == "entropy_rate"].set_index("estimator")["value"]
        share = own[own["metric"] == "longest_matches_share"].iloc[0]["value"]
        shortest = own[own["metric"] == "code_length"]["value"].min()
        lines.append(
            f"- **{corpus}**: the longest 1 % of the matches carry {100 * share:.1f} % of the harmonic form's "
            f"sum; harmonic {value['match_length_harmonic']:.3f}, "
            f"arithmetic {value['match_length_arithmetic']:.3f}, shortest code {shortest:.3f} bits per symbol."
        )
    return Markdown("\n".join(lines))


def ensembles_answer(table: pd.DataFrame) -> str:
    """How far each ensemble came from token frequencies, and from what the tokens before one say of it."""
    curve = table[(table["axis"] == "tokens") & table["member"].isna()].copy()
    curve["tokens"] = curve["x"].astype(float)

    def line(condition: str) -> str:
        last = curve[curve["condition"] == condition].sort_values("tokens").iloc[-1]
        level = value_of(table, condition, "validation_unigram_nll")["value"]
        return (
            f"after {last['tokens']:,.0f} tokens a member, validation loss {_number(last)} bits per token, "
            f"{abs(level - last['value']):.2f} {'below' if last['value'] < level else 'above'} the {level:.2f} of "
            f"token frequencies alone{_beside_blocks(table, condition)}."
        )

    return "\n".join([*_bullets(table, line), _note()])


def _beside_blocks(table: pd.DataFrame, condition: str) -> str:
    """The entropy of a token given those before it, at the largest order that the sample suffices for."""
    given = table[(table["condition"] == condition) & (table["metric"] == "conditional_entropy")]
    given = given[given["x"].astype(float) > 1]
    if given.empty:
        return ""
    last = given.iloc[given["x"].astype(float).argmax()]
    before = "one token" if float(last["x"]) == 2 else "two tokens"
    return f"; a token costs {last['value']:.2f} given the {before} before it, by counting"


def positions_answer(table: pd.DataFrame) -> Markdown:
    """What encoders that know the places of tokens in different ways reach with the same budget."""
    condition = conditions_of(table)[0]
    level = value_of(table, condition, "validation_unigram_nll")["value"]
    lines = [f"On **{condition}**, where token frequencies alone cost {level:.2f} bits per token:\n"]
    for preset, name in POSITION_NAMES.items():
        curve = table[(table["state"] == preset) & table["member"].isna()]
        last = curve.iloc[curve["x"].astype(float).argmax()]
        gain = level - last["value"]
        lines.append(f"- {name}: {_number(last)}, {abs(gain):.2f} {'below' if gain > 0 else 'above'} that level.")
    return Markdown("\n".join([*lines, "\nBrackets are 95 % intervals over the members of each."]))


def cost_answer(table: pd.DataFrame) -> Markdown:
    """What one condition at the paper's size would cost here."""
    times = table[table["metric"] == "training_time"].sort_values("x")
    one, several = times.iloc[0], times.iloc[-1]
    return Markdown(
        f"One condition of the paper, {one['n']} members of 90 million parameters that read 5.12 billion tokens "
        f"each, would take this machine about {duration(one['value'])}; {several['x']} like it "
        f"{duration(several['value'])}."
    )


def predictions_answer(table: pd.DataFrame) -> str:
    """How certain and how right the predictions are."""

    def line(condition: str) -> str:
        def of(metric: str, state: str = "trained", unit: str = "bits/token", **where: str) -> pd.Series:
            return value_of(table, condition, metric, state=state, unit=unit, **where)

        entropy, kl = of("output_entropy"), of("kl_from_uniform")
        majority = value_of(table, condition, "majority_accuracy")["value"]
        return (
            f"output entropy {_number(entropy)} of at most {entropy['value'] + kl['value']:.2f} bits per token "
            f"(untrained {of('output_entropy', 'untrained')['value']:.2f}); "
            f"loss {_number(of('nll'))}, {_number(of('context_gain'))} bits better than token frequencies and "
            f"{_number(of('context_gain', axis='against', x='left'))} than n-grams of the tokens before "
            f"({_number(of('context_gain', axis='against', x='both'))} than n-grams on both sides); "
            f"accuracy {_number(of('accuracy', unit='share'), 1, percent=True)} "
            f"(always the commonest token: {100 * majority:.1f} %); calibration error "
            f"{_number(of('expected_calibration_error', unit='share'), 1, percent=True)} (a calibrated model's: "
            f"{of('expected_calibration_error_chance', unit='share')['value']:.1%})."
        )

    return "\n".join([*_bullets(table, line), _note()])


def disagreement_answer(table: pd.DataFrame) -> str:
    """How far members of one ensemble disagree."""

    def line(condition: str) -> str:
        def of(metric: str, state: str = "trained") -> pd.Series:
            return value_of(table, condition, metric, state=state)

        return (
            f"Jensen–Shannon distance {_number(of('js_distance'), 3)} "
            f"(untrained {of('js_distance', 'untrained')['value']:.3f}, "
            f"unrelated tokens {of('js_distance_mismatched')['value']:.3f}, "
            f"matched null {of('js_distance_matched_null')['value']:.3f}); "
            f"mutual information {_number(of('mutual_information'), 4)} bits per token; "
            f"same likeliest token {_number(of('top1_agreement'), 0, percent=True)} of the time "
            f"(by chance {_number(of('top1_agreement_chance'), 0, percent=True)}); rank-biased overlap "
            f"{_number(of('rank_biased_overlap'))} "
            f"(by chance {of('rank_biased_overlap_chance')['value']:.2f})."
        )

    return "\n".join([*_bullets(table, line), _note()])


def strand_answer(table: pd.DataFrame) -> Markdown:
    """Whether a strand flip is worse than another seed."""

    def line(condition: str) -> str:
        flip, seed = (
            value_of(table, condition, f"{m}_js_distance", state="trained") for m in ("strand", "member")
        )
        bare = value_of(table, condition, "strand_js_distance", state="untrained")["value"]
        more = "more than" if flip["value"] > seed["value"] else "no more than"
        return (
            f"the other strand moves a base's distribution by {_number(flip, 3)} (untrained {bare:.3f}, token "
            f"frequencies alone {value_of(table, condition, 'strand_js_distance_unigram')['value']:.3f}), "
            f"{more} another seed does: {_number(seed, 3)}."
        )

    if table.empty:
        return Markdown("This run has no DNA, and so no other strand.")
    return Markdown("\n".join([*_bullets(table, line), _note()]))


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
                f"the order of their similarities correlates with {_number(of('local_spearman', **at), 3)} "
                f"(untrained {of('local_spearman', 'untrained', **at)['value']:.3f}); "
            )
        return (
            f"of {k} nearest neighbours two members share {_number(of('topk_overlap', **at), 3)} "
            f"(chance {of('topk_overlap_chance', **at)['value']:.3f}, "
            f"untrained {of('topk_overlap', 'untrained', **at)['value']:.3f}); "
            + order
            + f"Procrustes disparity {_number(of('procrustes_disparity'), 3)} "
            f"(untrained {of('procrustes_disparity', 'untrained')['value']:.3f}); "
            f"debiased linear CKA {_number(of('linear_cka_debiased'), 3)} "
            f"(untrained {of('linear_cka_debiased', 'untrained')['value']:.3f})."
        )

    return "\n".join([*_bullets(table, line), _note()])


def contextual_answer(table: pd.DataFrame) -> str:
    """What the last layer looks like, and how far members agree there, beside the embeddings."""

    def line(condition: str) -> str:
        layers = table.loc[(table["condition"] == condition) & (table["axis"] == "layer"), "x"]
        last = list(dict.fromkeys(layers))[-1]

        def of(metric: str, layer: str, state: str = "trained") -> pd.Series:
            return value_of(table, condition, metric, state=state, axis="layer", x=layer)

        def both(metric: str, digits: int) -> str:
            return (
                f"{_number(of(metric, last), digits)} (in the embeddings "
                f"{of(metric, 'embeddings')['value']:.{digits}f}, "
                f"untrained {of(metric, last, 'untrained')['value']:.{digits}f})"
            )

        return (
            f"in the last layer tokens fill {both('effective_rank', 1)} dimensions, with a mean cosine of "
            f"{both('anisotropy', 3)}; between members, debiased linear CKA {both('linear_cka_debiased', 3)}, "
            f"shared nearest neighbours beyond chance {both('neighbour_alignment_corrected', 3)}."
        )

    return "\n".join([*_bullets(table, line), _note()])


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
            f"encoder {_number(of('encoder'), 1, percent=True)} "
            f"(untrained {100 * of('encoder', 'untrained')['value']:.1f} %, with its context at random "
            f"{100 * of('encoder', 'random_context')['value']:.1f} %, by the invariant measure "
            f"{100 * of('encoder', metric='fisher_share_invariant')['value']:.1f} %); "
            f"embeddings, as in the paper, {_number(of('embeddings'), 1, percent=True)}, of which "
            f"{_number(of('input'), 1, percent=True)} through the input and "
            f"{_number(of('decoder.weight'), 1, percent=True)} through the output; "
            f"head {_number(of('head'), 1, percent=True)}. "
            f"Its context is worth {_number(gain)} bits per token to it (at random {blind['value']:.2f})."
        )

    lines = _bullets(table, line)
    shuffled = table[(table["state"] == "shuffled").fillna(False)]
    for condition in conditions_of(shuffled):
        encoder, output = (
            value_of(shuffled, condition, "fisher_share", state="shuffled", axis="group", x=group)
            for group in ("encoder", "output")
        )
        lines.append(
            f"- **{condition}, trained on shuffled tokens**, where there is no context to be learned: encoder "
            f"{_number(encoder, 1, percent=True)}, output {_number(output, 1, percent=True)}."
        )
    return "\n".join([*lines, _note()])
