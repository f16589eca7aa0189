"""Answers of the chapters on corpora, their entropy, and training."""

import pandas as pd
from IPython.display import Markdown

from gfm_utils.book.answers.shared import Lines, bullets, note
from gfm_utils.ensembles import device, duration
from gfm_utils.entropy.calibration import nsb_advantage
from gfm_utils.entropy.codelength import Coder
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import Matching
from gfm_utils.figures.names import POSITION_NAMES, estimator_name
from gfm_utils.figures.numbers import percentage, with_interval
from gfm_utils.figures.select import conditions_of, value_of
from gfm_utils.tokens import Condition, is_condition


def corpora_answer(table: pd.DataFrame) -> str:
    """What went in: sizes, leaks and tokens.

    Args:
        table: of corpora and of their tokens.
    """
    lines, tokens = [], table[table["condition"].map(is_condition)]
    for corpus in conditions_of(table[~table["condition"].map(is_condition)]):
        own = table[table["condition"] == corpus]
        size = own[own["metric"] == "symbols"].iloc[0]
        used = own.loc[own["metric"] == "part_symbols", "value"].sum()
        leak = own[(own["metric"] == "leaked_windows") & (own["x"] == "test")].iloc[0]
        lines.append(
            f"- **{corpus}**: {size['value']:,.0f} {size['unit']}, of which this run uses {used:,.0f}; "
            f"{percentage(leak['value'])} of {leak['n']:,} test windows repeat a stretch of the training part."
        )

    def line(condition: str) -> str:
        per = value_of(tokens, condition, "symbols_per_token")
        used = value_of(tokens, condition, "vocabulary_used")
        return (
            f"{per['value']:.2f} {per['unit'].replace('/', ' per ')}; "
            f"{percentage(used['value'], 0)} of the vocabulary occurs in the training part."
        )

    return "\n".join([*lines, *bullets(tokens, line)])


def entropy_answer(table: pd.DataFrame, whole: pd.DataFrame | None = None) -> str:
    """What no code here gets below on each corpus, per symbol and against its alphabet, and what its tokens cost.

    Args:
        table: of this run.
        whole: the same rows of whole corpora, recorded before; told of those that this run has read a part of.
    """
    lines = []
    codes = table[table["metric"] == "code_length"]
    for corpus in dict.fromkeys(codes["condition"]):
        own = codes[codes["condition"] == corpus].set_index("estimator")
        line = f"- **{corpus}**: {_bound(table, corpus)}"
        if "context_mixing_repeat_free" in own.index:
            line += f"; from at most 12 bases back {with_interval(own.loc['context_mixing_repeat_free'], 3)}"
        lines.append(line + ".")
        recorded = pd.DataFrame() if whole is None else whole[whole["condition"] == corpus]
        if len(recorded) and recorded["n"].max() > own["n"].max():
            lines.append(f"  All of it, recorded (see the end of this page): {_bound(recorded, corpus)}.")
        lines += _classes_line(table, corpus)
    tokens = table[(table["metric"] == "unigram_entropy") & (table["estimator"] == "grassberger")]
    for condition in filter(is_condition, dict.fromkeys(tokens["condition"])):
        per_token, per_symbol = (
            tokens[(tokens["condition"] == condition) & ((tokens["unit"] == "bits/token") == flag)].iloc[0]
            for flag in (True, False)
        )
        alone = tokens[tokens["condition"] == Condition.parse(condition).beside_tokenizer]
        beside = f", beside {alone.iloc[0]['value']:.3f} for single {_symbols(per_symbol)}" if len(alone) else ""
        lines.append(
            f"- **{condition}**: a token carries {per_token['value']:.2f} bits by its frequency alone, "
            f"{per_symbol['value']:.3f} {_per(per_symbol)}{beside}."
        )
    bounds = "Every code length is an upper bound: the entropy is not higher, and may be lower by any amount."
    return "\n".join([*lines, f"\n{bounds} Brackets are 95 % intervals along the corpus."])


def _bound(table: pd.DataFrame, corpus: str) -> str:
    """The shortest code of a corpus per symbol, against its alphabet, and against the frequencies of its symbols.

    What the code lies below a uniform choice is log2 A - c = (log2 A - H1) + (H1 - c), with A the symbols that
    occur, H1 the entropy of their frequencies and c the code: the first part is of an alphabet that holds rare
    symbols, and no other symbol need be seen for it.
    """
    own = table[table["condition"] == corpus]
    codes = own[own["metric"] == "code_length"]
    best = codes.loc[codes["value"].idxmin()]
    uniform = own[own["metric"] == "uniform_entropy"].iloc[0]["value"]
    counted = (own["metric"] == "unigram_entropy") & (own["estimator"] == Estimator.GRASSBERGER.value)
    single, symbols = own[counted].iloc[0]["value"], _symbols(best)
    text = (
        f"no code here gets below {with_interval(best, 3)} {_per(best)} "
        f"({estimator_name(str(best['estimator']))}, {best['n']:,} {symbols}), "
        f"{percentage(best['value'] / uniform, 0)} of a uniform choice among the {round(2**uniform)} {symbols} "
        f"that occur ({uniform:.2f} bits) and {percentage(best['value'] / single, 0)} of what single {symbols} "
        f"cost by their frequencies ({single:.2f})"
    )
    below = uniform - best["value"]
    if below <= 0:
        return text
    share = percentage((uniform - single) / below, 0)
    return f"{text}; of the {below:.2f} bits between code and uniform choice {share} are these frequencies alone"


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
    known = [f"{text} {with_interval(cost.loc[name], 3)}" for name, text in named.items() if name in cost.index]
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
            f"- **{corpus}**: the longest 1 % of the matches carry {percentage(share)} of the harmonic form's "
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
        passes = table[(table["condition"] == condition) & (table["metric"] == "training_passes")]["value"]
        often = f" ({passes.iloc[0]:.2g} times the training part)" if len(passes) else ""
        side = "below" if last["value"] < level else "above"
        return (
            f"after {last['tokens']:,.0f} tokens a member{often}, validation loss {with_interval(last)} bits per "
            f"token, {abs(level - last['value']):.2f} {side} the {level:.2f} of token frequencies "
            f"alone{_beside_blocks(table, condition)}."
        )

    return "\n".join([*bullets(table, line), note()])


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
        lines.append(
            f"- {name}: {with_interval(last)}, {abs(gain):.2f} {'below' if gain > 0 else 'above'} that level."
        )
    return Markdown("\n".join([*lines, "\nBrackets are 95 % intervals over the members of each."]))


def cost_answer(table: pd.DataFrame) -> Markdown:
    """What one condition at the paper's size would cost here."""
    times = table[table["metric"] == "training_time"].sort_values("x")
    one, several = times.iloc[0], times.iloc[-1]
    return Markdown(
        f"One condition of the paper, {one['n']} members of 90 million parameters that read 5.12 billion tokens "
        f"each, would take this machine about {duration(one['value'])}; {several['x']} like it "
        f"{duration(several['value'])}.{_beyond_memory(table)}"
    )


def _beyond_memory(table: pd.DataFrame) -> str:
    """That a GPU has not enough memory for what is priced; nothing elsewhere."""
    memory = table[table["metric"] == "device_memory"].iloc[0]
    if device() == "cpu" or memory["x"] == "measured":
        return ""
    return (
        f" But a step needs about {memory['value'] / 2**30:.0f} GiB, more than the GPU here has: the time is that "
        "of part of a batch, scaled up."
    )
