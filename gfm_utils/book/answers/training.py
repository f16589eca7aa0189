"""Answer of the chapter on longer training."""

from collections.abc import Iterable, Iterator

import pandas as pd

from gfm_utils.book.answers.shared import Lines, note
from gfm_utils.claims.along_training import AXIS, FOLLOWED, RATE, Setting, main_setting, settings_of, tokens_of
from gfm_utils.claims.dose import GAIN
from gfm_utils.claims.extrapolation import FURTHEST, LATER
from gfm_utils.claims.one_curve import COMPARED, KIND, MODEL, OPTIMISER
from gfm_utils.figures.along_training import (
    OPTIMISERS,
    bounded,
    far_between,
    gain_between,
    model_name,
    saved_share,
    told_difference,
)
from gfm_utils.figures.numbers import million, percentage, with_interval
from gfm_utils.figures.select import value_of

#: Early is after this share of the tokens, as near as there is a checkpoint: DNA has learned something by then.
EARLY = 1 / 7
_MOVES = {
    "still": "the same way as before",
    "gone": "no longer told from none",
    "turned": "the other way now",
    "new": "only now",
}
#: Who is told apart from whom.
_APART = {KIND: "DNA differs from text", OPTIMISER: "optimisers differ", MODEL: "models differ"}
_RUNS = ["condition", "setting", "other_condition", "other_setting"]


def training_answer(
    table: pd.DataFrame, equal: pd.DataFrame, along: pd.DataFrame, later: pd.DataFrame, apart: pd.DataFrame
) -> str:
    """What longer training changes, and what it does not.

    Args:
        table: of ``along_training``.
        equal: of ``equal_gains``.
        along: of ``equal_tokens``.
        later: of ``extrapolations``.
        apart: of ``outliers``.
    """
    main = main_setting(settings_of(table))
    moves = _moves(along, main)
    lines = [*_lead(moves), f"{model_name(main)}, {million(main.budget)} tokens a member:", ""]
    lines += [_learned(table, condition, main) for condition, setting in settings_of(table) if setting == main]
    lines += [*_changes(moves), *_one_curve(equal), *_further(later, main), _unlike(apart), note()]
    return "\n".join(lines)


def optimiser_sentence(table: pd.DataFrame, metric: str = "topk_overlap_corrected") -> str:
    """A measure at the end of training by each optimiser, of all that was trained by both; empty without two.

    Args:
        table: of ``along_training``.
        metric: name of the measure.
    """
    runs = settings_of(table)
    if not runs:
        return ""
    main = main_setting(runs)
    ends: dict[str, dict[str, pd.Series]] = {}
    for setting in sorted({own for _, own in runs}, key=lambda one: one != main):
        if setting._replace(optimiser=main.optimiser) != main:
            continue
        there = [condition for condition, own in runs if own == setting]
        at = {"state": "trained", "axis": AXIS, "x": setting.x(setting.budget)}
        ends[OPTIMISERS[setting.optimiser]] = {name: value_of(table, name, metric, **at) for name in there}
    both = [name for name in next(iter(ends.values())) if all(name in own for own in ends.values())]
    if len(ends) < 2 or not both:
        return ""
    measure = FOLLOWED[metric]
    sentences = [
        f"{name} "
        + ", ".join(f"{with_interval(own[name], 1, measure.percent)} by {by}" for by, own in ends.items())
        for name in both
    ]
    return (
        f"[The optimiser matters](chapters/training), too. {measure.text[0].upper()}{measure.text[1:]}, after "
        f"equally many tokens: {'; '.join(sentences)}."
    )


def _learned(table: pd.DataFrame, condition: str, setting: Setting) -> str:
    """The context gain along the training of one condition."""
    early = nearest(tokens_of(table, condition, setting), EARLY * setting.budget)
    gains = [
        value_of(table, condition, GAIN, state="trained", axis=AXIS, x=setting.x(tokens))
        for tokens in (early, setting.budget)
    ]
    share = saved_share(table, condition, setting)
    beside = "" if share is None else f", {percentage(share, 0)} of what counting on both sides saves"
    return (
        f"- **{condition}**: context gain {with_interval(gains[0])} bits per token after {million(early)} tokens, "
        f"{with_interval(gains[1])} at the end{beside}."
    )


def nearest(tokens: Iterable[int], wanted: float) -> int:
    """The number of tokens nearest to a wanted one."""
    return min(tokens, key=lambda one: abs(one - wanted))


def _lead(moves: pd.DataFrame) -> Lines:
    """How many differences between DNA and text keep their sign to the end, and what becomes of their sizes."""
    early, new = moves[moves["move"].isin(["still", "gone", "turned"])], (moves["move"] == "new").sum()
    if early.empty:
        sentence = f"**It would.** {new} differences between DNA and text are told only after long training."
        return [sentence, ""] if new else []
    sizes = early.loc[early["move"] == "still", "size"]
    share = len(sizes) / len(early)
    signs = "Signs stay" if share == 1 else "Signs mostly stay" if share > 0.5 else "Most of it would change"
    sentence = (
        f"**{signs}, sizes do not.** Of {len(early)} differences between DNA and text that are told early, "
        f"{len(sizes)} go the same way at the end of training"
    )
    if len(sizes):
        sentence += f", at {percentage(sizes.min(), 0)} to {percentage(sizes.max(), 0)} of their size"
    return [sentence + (f"; {new} are told only then." if new else "."), ""]


def _moves(along: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """What became of each difference between DNA and text from early in training to its end, one a row.

    Returns:
        ``condition``, ``other``, ``early`` (in tokens), ``metric``, ``move`` (a key of ``_MOVES``, or ``never``)
        and ``size``, the late one as a share of the early one.
    """
    rows = along[(along["setting"] == setting) & along["metric"].isin(COMPARED)]
    moves = []
    for (condition, other), pair in rows.groupby(["condition", "other_condition"], sort=False):
        last = int(pair["tokens"].max())
        early = nearest(set(pair["tokens"]), EARLY * last)
        for metric, curve in pair.groupby("metric", sort=False):
            at = curve.set_index("tokens")
            if early in at.index and last in at.index and early != last:
                first, final = at.loc[early], at.loc[last]
                move, size = _move(told_sign(first), told_sign(final)), abs(final["value"] / first["value"])
                moves.append((condition, other, early, metric, move, size))
    return pd.DataFrame(moves, columns=["condition", "other", "early", "metric", "move", "size"])


def _changes(moves: pd.DataFrame) -> Iterator[str]:
    """Which differences between DNA and text stay, go, turn or come between early and late."""
    for (condition, other, early), pair in moves.groupby(["condition", "other", "early"], sort=False):
        texts = pair["metric"].map({name: measure.text for name, measure in FOLLOWED.items()})
        groups = {words: texts[pair["move"] == move] for move, words in _MOVES.items()}
        clauses = "; ".join(f"{words}: {', '.join(group)}" for words, group in groups.items() if len(group))
        if clauses:
            yield (
                f"- DNA less text ({condition}, {other}) at the end, beside what it was after {million(early)} "
                f"tokens: {clauses}."
            )


def told_sign(row: pd.Series) -> int:
    """1 or -1 where the interval of a difference leaves zero out, else 0."""
    return int(row["low"] > 0) - int(row["high"] < 0)


def _move(early: int, late: int) -> str:
    if late == 0:
        return "gone" if early else "never"
    return "new" if early == 0 else "still" if early == late else "turned"


def _one_curve(equal: pd.DataFrame) -> Iterator[str]:
    """What is told apart at equal context gain."""
    for by, who in _APART.items():
        for key, differences in equal[equal["by"] == by].groupby(_RUNS, sort=False):
            condition, setting, other_condition, other = key
            which = (
                f"{condition} beside {other_condition}, {model_name(setting)}"
                if by == KIND
                else f"{condition}, {model_name(setting)} beside {model_name(other)}"
            )
            yield f"- {_apart(differences, who, which)}."


def _apart(differences: pd.DataFrame, who: str, which: str) -> str:
    """Which measures differ between two runs at equal context gain, or why they are not compared."""
    if far_between(differences):
        return (
            f"{which}: not to be compared at equal context gain, of {gain_between(differences)} bits, for want of "
            "checkpoints near it"
        )
    apart = [
        f"{FOLLOWED[row['metric']].text} ({told_difference(row)})"
        for _, row in differences.iterrows()
        if told_sign(row)
    ]
    count = f"{len(apart)} of {len(differences)} measures"
    head = f"{who} at equal context gain of {gain_between(differences)} bits, {which}, in {count}"
    return f"{head}: {'; '.join(apart)}" if apart else head


def _further(later: pd.DataFrame, setting: Setting) -> Iterator[str]:
    """The loss after more tokens."""
    rows = later[(later["metric"] == LATER) & later["x"].str.endswith(setting.x(0)[1:])]
    rows = rows.drop_duplicates("condition", keep="last")  # through the ends of runs, where there are several
    for _, row in rows[rows["low"].notna()].iterrows():
        yield (
            f"- after {FURTHEST} times as many tokens the validation loss of {row['condition']} would be "
            f"{bounded(row)} bits per token, if it goes on so."
        )
    unknown = ", ".join(rows.loc[rows["low"].isna(), "condition"])
    if unknown:
        yield (
            f"- what the loss of {unknown} would be after {FURTHEST} times as many tokens, these points do not "
            "tell."
        )


def _unlike(apart: pd.DataFrame) -> str:
    """Members that are unlike the others, or that there are none."""
    if apart.empty:
        return "- two members are too few to say which of them is unlike the others."
    outliers = apart[apart["outlier"]]
    if outliers.empty:
        checks = len(apart.drop_duplicates(["condition", "setting", "metric"]))
        alarms = f"{checks} checks raise a false alarm in {percentage(RATE, 0)} of runs"
        return f"- no member is an outlier by loss or by distance to the others ({alarms})."
    sentences = [
        f"seed {row['member']} of {row['condition']}, {model_name(row['setting'])} "
        f"({FOLLOWED[row['metric']].text}: {row['score']:+.1f} standard errors from the others, "
        f"limit {row['limit']:.1f})"
        for _, row in outliers.iterrows()
    ]
    return f"- **outliers**: {'; '.join(sentences)}."
