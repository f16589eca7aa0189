"""Answers of the chapters on corpora, their entropy, and training."""

from collections.abc import Iterator

import pandas as pd
from IPython.display import Markdown

from gfm_utils.book.answers.shared import bullets, if_any, note
from gfm_utils.ensembles import device, duration
from gfm_utils.entropy.calibration import nsb_advantage
from gfm_utils.entropy.codelength import Coder
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import Matching
from gfm_utils.figures.names import POSITION_NAMES, beside_tokenizer, estimator_name
from gfm_utils.figures.numbers import percentage, with_interval
from gfm_utils.figures.select import conditions_of, value_of
from gfm_utils.tokens import is_condition


def corpora_answer(table: pd.DataFrame) -> str:
    """What went in: sizes, leaks and tokens (``table``: of corpora and of their tokens)."""
    of_a_condition = table["condition"].map(is_condition)

    def of_corpus(corpus: str) -> str:
        size = value_of(table, corpus, "symbols")
        leak = value_of(table, corpus, "leaked_windows", axis="part", x="test")
        used = table.loc[(table["condition"] == corpus) & (table["metric"] == "part_symbols"), "value"].sum()
        return (
            f"{size['value']:,.0f} {size['unit']}, of which this run uses {used:,.0f}; "
            f"{percentage(leak['value'])} of {leak['n']:,} test windows repeat a stretch of the training part."
        )

    def of_tokens(condition: str) -> str:
        per, used = (value_of(table, condition, metric) for metric in ("symbols_per_token", "vocabulary_used"))
        return (
            f"{per['value']:.2f} {_per(per)}; "
            f"{percentage(used['value'], 0)} of the vocabulary occurs in the training part."
        )

    lines = [*bullets(table[~of_a_condition], of_corpus), *bullets(table[of_a_condition], of_tokens)]
    return "\n".join(lines)


def entropy_answer(table: pd.DataFrame, whole: pd.DataFrame | None = None) -> str:
    """What no code here gets below on each corpus, per symbol and against its alphabet, and what its tokens cost.

    Args:
        table: of this run.
        whole: the same rows of whole corpora, recorded before; told of those that this run has read a part of.
    """
    codes = table[table["metric"] == "code_length"]
    corpora = dict.fromkeys(codes["condition"])
    lines = [line for corpus in corpora for line in _corpus_lines(table, corpus, whole)]
    tokens = table[(table["metric"] == "unigram_entropy") & (table["estimator"] == Estimator.GRASSBERGER.value)]
    for condition in filter(is_condition, dict.fromkeys(tokens["condition"])):
        rows, alone = (tokens[tokens["condition"] == name] for name in (condition, beside_tokenizer(condition)))
        token, symbol = (rows[(rows["unit"] == "bits/token") == flag].iloc[0] for flag in (True, False))
        beside = f", beside {alone.iloc[0]['value']:.3f} for single {_symbols(symbol)}" if len(alone) else ""
        lines.append(
            f"- **{condition}**: a token carries {token['value']:.2f} bits by its frequency alone, "
            f"{symbol['value']:.3f} {_per(symbol)}{beside}."
        )
    bounds = "Every code length is an upper bound: the entropy is not higher, and may be lower by any amount."
    return "\n".join([*lines, f"\n{bounds} Brackets are 95 % intervals along the corpus."])


def _corpus_lines(table: pd.DataFrame, corpus: str, whole: pd.DataFrame | None) -> Iterator[str]:
    """The shortest code of a corpus, that of all of it where a run has read a part, and its classes."""
    rows = table[table["condition"] == corpus]
    short = rows[rows["estimator"] == Coder.CONTEXT_MIXING_REPEAT_FREE.value]
    near = f"; from at most 12 bases back {with_interval(short.iloc[0], 3)}" if len(short) else ""
    yield f"- **{corpus}**: {_bound(table, corpus)}{near}."
    read = rows.loc[rows["metric"] == "code_length", "n"].max()
    recorded = table[:0] if whole is None else whole[whole["condition"] == corpus]
    if len(recorded) and recorded["n"].max() > read:
        yield f"  All of it, recorded (see the end of this page): {_bound(whole, corpus)}."
    cost = rows[(rows["metric"] == "feature_code_length") & rows["axis"].notna()].set_index("x")
    classes = {"repeat": "soft-masked repeats", "coding": "coding bases", "intergenic": "intergenic bases"}
    known = [f"{text} {with_interval(cost.loc[name], 3)}" for name, text in classes.items() if name in cost.index]
    if known:
        yield f"  By class, bits per base: {'; '.join(known)}."


def _bound(table: pd.DataFrame, corpus: str) -> str:
    """The shortest code of a corpus per symbol, against its alphabet, and against the frequencies of its symbols.

    What the code lies below a uniform choice is log2 A - c = (log2 A - H1) + (H1 - c), with A the symbols that
    occur, H1 the entropy of their frequencies and c the code: the first part is of an alphabet that holds rare
    symbols, and no other symbol need be seen for it.
    """
    codes = table[(table["condition"] == corpus) & (table["metric"] == "code_length")]
    best = codes.loc[codes["value"].idxmin()]
    uniform = value_of(table, corpus, "uniform_entropy")["value"]
    single = value_of(table, corpus, "unigram_entropy", estimator=Estimator.GRASSBERGER.value)["value"]
    below, symbols = uniform - best["value"], _symbols(best)
    parts = "" if best["value"] >= single else (
        f"; of the {below:.2f} bits between code and uniform choice {percentage((uniform - single) / below, 0)} "
        "are these frequencies alone"
    )  # fmt: skip
    return (
        f"no code here gets below {with_interval(best, 3)} {_per(best)} "
        f"({estimator_name(str(best['estimator']))}, {best['n']:,} {symbols}), "
        f"{percentage(best['value'] / uniform, 0)} of a uniform choice among the {round(2**uniform)} {symbols} "
        f"that occur ({uniform:.2f} bits) and {percentage(best['value'] / single, 0)} of what single {symbols} "
        f"cost by their frequencies ({single:.2f}){parts}"
    )


def _per(row: pd.Series) -> str:
    """``bits per base``."""
    return str(row["unit"]).replace("/", " per ")


def _symbols(row: pd.Series) -> str:
    """``bases`` or ``characters``."""
    return str(row["unit"]).partition("/")[2] + "s"


def calibration_answer(table: pd.DataFrame) -> Markdown:
    """What the calibration shows, in numbers: the corrected estimators, NSB's advantage, and match lengths.

    Args:
        table: of `gfm_utils.entropy.calibration.calibrate`.
    """
    bias = table[table["metric"] == "entropy_bias"]
    bias = bias.assign(size=bias["x"].astype(float), error=bias["value"].abs())
    hidden = bias["condition"] == "repeats"  # no count sees those
    corrected = bias["estimator"].isin(set(Estimator) - {Estimator.PLUGIN})
    matched = bias[bias["estimator"].isin(list(Matching)) & ~hidden]
    code = _at_most(bias[bias["estimator"] == Coder.CONTEXT_MIXING.value])
    chains = code["condition"].str.startswith("markov_") & ~code["condition"].str.contains("256")
    repeats = code[code["condition"] == "repeats"]["value"]
    above = f"; the context mixer's code is {repeats.iloc[0]:.3f} bits above the rate." if len(repeats) else "."
    return Markdown("\n".join([
        *_corrected_lines(bias[corrected & ~hidden]),
        *_nsb_lines(nsb_advantage(table)),
        *if_any(_at_most(matched), lambda rows: (
            f"- Match lengths at {rows['size'].max():,.0f} symbols are off by {rows['error'].median():.3f} bits "
            f"in the median and by {rows['error'].max():.3f} at most."
        )),
        *if_any(code[chains], lambda rows: (
            f"- The context mixer's code at {rows['size'].max():,.0f} symbols is {rows['value'].min():.4f} to "
            f"{rows['value'].max():.4f} bits above the rate of Markov chains over four letters: learning costs."
        )),
        *if_any(bias[corrected & hidden], lambda rows: (
            f"- On the source of mutated repeats every estimator from counts errs by {rows['error'].min():.3f} "
            f"bits or more, at any size, trusted or not{above}"
        )),
    ]))  # fmt: skip


def _at_most(bias: pd.DataFrame) -> pd.DataFrame:
    """The rows of the largest sample."""
    return bias[bias["size"] == bias["size"].max()]


def _corrected_lines(counted: pd.DataFrame) -> Iterator[str]:
    sound = counted[counted["trusted"].astype(bool)]
    worst = sound.loc[sound["error"].idxmax()]
    yield (
        f"- Where they are trusted ({len(sound)} of {len(counted)} cases), the corrected estimators are off by "
        f"{sound['error'].median():.5f} bits in the median and by {worst['error']:.3f} at most "
        f"({estimator_name(worst['estimator'])} on {worst['condition']}, {worst['size']:,.0f} symbols)."
    )
    for source, size in (("markov_3", 1e6), ("markov_8", 1e7)):
        rows = counted[(counted["condition"] == source) & (counted["size"] == size)]
        errors = [f"{estimator_name(row['estimator'])} {row['value']:+.4f}" for _, row in rows.iterrows()]
        if errors:
            yield f"- {source} at {size:,.0f} symbols, bias in bits: {', '.join(errors)}."


def _nsb_lines(ratio: pd.DataFrame) -> Iterator[str]:
    ratio = ratio[~ratio["trusted"]]
    for kind, few in ratio.groupby(ratio["condition"].str.partition("_")[0]):
        if kind in ("dirichlet", "zipf"):
            best = few.loc[few["ratio"].idxmax()]
            yield (
                f"- NSB on {kind} sources, undersampled ({len(few)} cases): the error of the best other estimator "
                f"is {few['ratio'].median():.2f} times NSB's in the median, and at most {best['ratio']:.1f} times "
                f"({best['condition']}, {best['symbols']:,} symbols)."
            )


def match_sentence(table: pd.DataFrame) -> Markdown:
    """Both match-length estimates of each corpus beside its shortest code, and what rules the harmonic one."""
    rates = table[table["metric"] == "entropy_rate"]

    def line(corpus: str) -> str:
        value = rates[rates["condition"] == corpus].set_index("estimator")["value"]
        share = value_of(table, corpus, "longest_matches_share")["value"]
        shortest = table[(table["condition"] == corpus) & (table["metric"] == "code_length")]["value"].min()
        return (
            f"the longest 1 % of the matches carry {percentage(share)} of the harmonic form's "
            f"sum; harmonic {value['match_length_harmonic']:.3f}, "
            f"arithmetic {value['match_length_arithmetic']:.3f}, shortest code {shortest:.3f} bits per symbol."
        )

    return Markdown("\n".join(bullets(rates, line)))


def ensembles_answer(table: pd.DataFrame) -> str:
    """How far each ensemble came from token frequencies, and from what the tokens before one say of it."""

    def line(condition: str) -> str:
        last = _last(table[(table["condition"] == condition) & (table["axis"] == "tokens").fillna(False)])
        level = value_of(table, condition, "validation_unigram_nll")["value"]
        passes = table[(table["condition"] == condition) & (table["metric"] == "training_passes")]["value"]
        often = f" ({passes.iloc[0]:.2g} times the training part)" if len(passes) else ""
        return (
            f"after {float(last['x']):,.0f} tokens a member{often}, validation loss {with_interval(last)} bits "
            f"per token, {_beside(level, last['value'])} the {level:.2f} of token frequencies alone"
            f"{_beside_blocks(table, condition)}."
        )

    return "\n".join([*bullets(table, line), note()])


def _last(curve: pd.DataFrame) -> pd.Series:
    """The last point along an axis of the mean over members."""
    curve = curve[curve["member"].isna()]
    return curve.iloc[curve["x"].astype(float).argmax()]


def _beside(level: float, value: float) -> str:
    """``0.12 below`` or ``0.12 above``."""
    return f"{abs(level - value):.2f} {'below' if value < level else 'above'}"


def _beside_blocks(table: pd.DataFrame, condition: str) -> str:
    """The entropy of a token given those before it, at the largest order that the sample suffices for."""
    given = table[(table["condition"] == condition) & (table["metric"] == "conditional_entropy")]
    given = given[given["x"].astype(float) > 1]
    if given.empty:
        return ""
    last = _last(given)
    before = "one token" if float(last["x"]) == 2 else "two tokens"
    return f"; a token costs {last['value']:.2f} given the {before} before it, by counting"


def positions_answer(table: pd.DataFrame) -> Markdown:
    """What encoders that know the places of tokens in different ways reach with the same budget."""
    condition = conditions_of(table)[0]
    level = value_of(table, condition, "validation_unigram_nll")["value"]
    last = {name: _last(table[table["state"] == preset]) for preset, name in POSITION_NAMES.items()}
    lines = [
        f"- {name}: {with_interval(row)}, {_beside(level, row['value'])} that level." for name, row in last.items()
    ]
    head = f"On **{condition}**, where token frequencies alone cost {level:.2f} bits per token:\n"
    return Markdown("\n".join([head, *lines, "\nBrackets are 95 % intervals over the members of each."]))


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
