"""Charts and tables along training: measures against tokens and context gain, and what counting and a fit say."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
from IPython.display import Markdown

from gfm_utils.analyses.along_training import (
    AXIS,
    FOLLOWED,
    LEVEL_NLL,
    LOSS,
    Setting,
    main_setting,
    position,
    settings_of,
)
from gfm_utils.analyses.dose import GAIN
from gfm_utils.analyses.extrapolation import FLOOR, FURTHEST, LATER, MISS
from gfm_utils.analyses.one_curve import COMPARED, KIND
from gfm_utils.figures.numbers import difference, interval, percentage
from gfm_utils.figures.select import conditions_of, rows_of, summaries, value_of, with_span
from gfm_utils.figures.style import condition_colour, dropdown, stroke_legend, themed, tooltips

OPTIMISERS = {"muon": "Muon", "adamw": "AdamW"}
#: Counting that saves less, in bits per token, saves hardly anything: a share of it would say nothing.
LEAST_SAVED = 0.05
#: Of the models of a chart, in their order.
MODEL_DASHES = ((1, 0), (6, 4), (1, 3), (8, 3, 2, 3), (2, 2), (10, 4), (4, 2, 1, 2))


def million(tokens: float) -> str:
    """``16.4 million``; below a tenth of a million the number itself."""
    return f"{tokens / 1e6:,.1f} million" if tokens >= 1e5 else f"{tokens:,.0f}"


def model_name(setting: Setting) -> str:
    """Model and optimiser for people: ``2x64, Muon``, and ``bert-2x64, AdamW`` of another architecture."""
    return f"{setting.preset.removeprefix('modernbert-')}, {OPTIMISERS.get(setting.optimiser, setting.optimiser)}"


def setting_names(table: pd.DataFrame) -> dict[Setting, str]:
    """Setting -> name for people, which tells the length of the run where there are several of one model."""
    settings = list(dict.fromkeys(setting for _, setting in settings_of(table)))
    names = [model_name(setting) for setting in settings]
    return {
        setting: f"{name}, run of {million(setting.budget)}" if names.count(name) > 1 else name
        for setting, name in zip(settings, names, strict=True)
    }


def training_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row a condition, training, checkpoint and measure.

    Of runs that differ in nothing but their length the shorter ones have their ends alone, as one training.

    Args:
        table: of ``along_training``.

    Returns:
        ``condition``, ``model`` (with its optimiser), ``tokens``, ``metric``, ``measure`` (for people), ``value``,
        ``low``, ``high``, and ``gain``, the context gain at the same checkpoint.
    """
    there = [name for name in FOLLOWED if name in set(table["metric"])]
    rows = with_span(summaries(rows_of(table, *there, axis=AXIS, numeric=False)))
    longest: dict[str, int] = {}
    for _, setting in settings_of(table):
        longest[model_name(setting)] = max(setting.budget, longest.get(model_name(setting), 0))
    places = [position(x) for x in rows["x"]]
    rows["tokens"] = [tokens for tokens, _ in places]
    shorter = [setting.budget < longest[model_name(setting)] for _, setting in places]
    rows["model"] = [
        f"{model_name(setting)}, ends of shorter runs" if short else model_name(setting)
        for short, (_, setting) in zip(shorter, places, strict=True)
    ]
    rows = rows[[tokens == own.budget or not short for short, (tokens, own) in zip(shorter, places, strict=True)]]
    rows = rows.copy()
    rows["measure"] = rows["metric"].map(lambda name: FOLLOWED[name].text)
    gains = rows[rows["metric"] == GAIN].set_index(["condition", "x"])["value"]
    rows["gain"] = [gains.get(key) for key in zip(rows["condition"], rows["x"], strict=True)]
    return rows[["condition", "model", "tokens", "metric", "measure", "value", "low", "high", "gain"]]


def _model_dash(models: Sequence[str]) -> alt.StrokeDash:
    there = list(dict.fromkeys(models))
    dashes = [list(MODEL_DASHES[place % len(MODEL_DASHES)]) for place in range(len(there))]
    return alt.StrokeDash(
        "model:N", title=None, scale=alt.Scale(domain=there, range=dashes), legend=stroke_legend()
    )


def _curves(base: alt.Chart, x: alt.X, conditions: list[str], models: Sequence[str]) -> list[alt.Chart]:
    """A line a run with its points and intervals."""
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format="~r", tickCount=5))
    colour = condition_colour(conditions, legend=alt.Legend(symbolOpacity=1))
    tips: list[str | alt.Tooltip] = [
        "condition", "model", alt.Tooltip("tokens:Q", title="tokens read", format=","),
        *tooltips("value", "low", "high", "gain", text=".3~r"),
    ]  # fmt: skip
    span = base.mark_rule(strokeWidth=1.5, opacity=0.5).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q")
    line = base.mark_line(strokeWidth=1.5, opacity=0.8).encode(
        x=x, y=y, order="tokens:Q", strokeDash=_model_dash(models)
    )
    points = base.mark_point(filled=True, size=30, opacity=1).encode(x=x, y=y, tooltip=tips)
    return [part.encode(color=colour) for part in (span, line, points)]


def training_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Any measure against the tokens that a member has read; the reader chooses the measure.

    Args:
        table: of ``along_training``.
    """
    rows = training_rows(table)
    rows = rows[rows["tokens"] > 0]  # a logarithmic axis has no place for untrained members
    measures = [measure.text for name, measure in FOLLOWED.items() if name in set(rows["metric"])]
    measures.sort(key=lambda text: text != FOLLOWED[GAIN].text)
    base = alt.Chart(rows).transform_filter("datum.measure == training_measure")
    x = alt.X("tokens:Q", title="tokens read by a member", scale=alt.Scale(type="log"), axis=alt.Axis(format="~s"))
    layers = _curves(base, x, conditions_of(table), list(rows["model"]))
    chosen = dropdown("training_measure", measures, "measure ")
    return themed(alt.layer(*layers).add_params(chosen).properties(width="container", height=320))


def one_curve_chart(table: pd.DataFrame, share: bool = False) -> alt.VConcatChart | Markdown:
    """Each measure against the context gain, along the training of every model by every optimiser.

    Args:
        table: of ``along_training``.
        share: the gain as a share of what counting on both sides saves, where that is anything.
    """
    rows, charts = training_rows(table).dropna(subset="gain"), []
    across, text, ticks = "context gain, bits per token", "~g", [0, 0.1, 0.3, 1, 3]
    if share:
        across, text, ticks = "context gain, share of what counting saves", "%", [0, 0.1, 0.3, 1]
        saved = {condition: counting_saves(table, condition) for condition in conditions_of(table)}
        rows = rows.assign(gain=rows["gain"] / rows["condition"].map(saved).astype("float64"))
        rows = rows.dropna(subset="gain")
    if rows.empty:
        return Markdown("Counting saves hardly anything here: there is nothing of which a gain could be a share.")
    x = alt.X(
        "gain:Q", title=across, axis=alt.Axis(values=ticks, format=text),
        scale=alt.Scale(type="symlog", constant=0.1, zero=False, padding=14, nice=False),
    )  # fmt: skip
    for name in (name for name in COMPARED if name in set(rows["metric"])):
        base = alt.Chart(rows[rows["metric"] == name])
        title = alt.TitleParams(FOLLOWED[name].text, fontSize=12, fontWeight="normal")
        layers = _curves(base, x, conditions_of(table), list(rows["model"]))
        charts.append(alt.layer(*layers).properties(width=290, height=160, title=title))
    return themed(alt.vconcat(*charts))


def levels_table(table: pd.DataFrame) -> Markdown:
    """What counting and a code that looks no further than a window reach, beside what models reach.

    Args:
        table: of ``along_training``.
    """
    heads = ["", "training", "tokens", "token frequencies", "n-grams on both sides", "best code of a window",
             "models", "saved, share of what counting saves"]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "| --- | --- |" + " ---: |" * (len(heads) - 2)]
    names = setting_names(table)
    for condition, setting in settings_of(table):
        found = value_of(
            table, condition, LOSS, state="trained", axis=AXIS, x=setting.x(setting.budget)
        )  # fmt: skip
        levels = [_level(table, condition, level) for level in ("unigram", "both", "code")]
        cells = ["–" if level is None else f"{level:.3f}" for level in levels]
        loss = interval(found["value"], found["low"], found["high"])
        share = saved_share(table, condition, setting)
        said = "–" if share is None else percentage(share, 0)
        row = [f"`{condition}`", names[setting], million(setting.budget), *cells, loss, said]
        lines.append(f"| {' | '.join(row)} |")
    return Markdown("\n".join(lines))


def _level(table: pd.DataFrame, condition: str, level: str) -> float | None:
    """Bits per token of a level, where the table has it."""
    here = (table["condition"] == condition) & (table["metric"] == LEVEL_NLL) & (table["unit"] == "bits/token")
    rows = table[(here & (table["x"] == level)).fillna(False)]
    return float(rows["value"].iloc[0]) if len(rows) else None


def saved_share(table: pd.DataFrame, condition: str, setting: Setting) -> float | None:
    """What members save over token frequencies at the end, as a share of what counting on both sides saves.

    Args:
        table: of ``along_training``.
        condition: which.
        setting: likewise.

    Returns:
        None where counting saves hardly anything.
    """
    saves = counting_saves(table, condition)
    gain = value_of(table, condition, GAIN, state="trained", axis=AXIS, x=setting.x(setting.budget))["value"]
    return None if saves is None else float(gain) / saves


def counting_saves(table: pd.DataFrame, condition: str) -> float | None:
    """Bits per token that n-grams on both sides save over token frequencies; None where that is hardly any."""
    alone, counted = (_level(table, condition, level) for level in ("unigram", "both"))
    return None if alone is None or counted is None or alone - counted < LEAST_SAVED else alone - counted


def told_difference(row: pd.Series, metric: str) -> str:
    """A difference with its interval; in brackets where that holds zero."""
    text = difference(row["value"], row["low"], row["high"], FOLLOWED[metric].percent)
    return text if row["low"] > 0 or row["high"] < 0 else f"({text})"


def equal_gain_table(equal: pd.DataFrame) -> Markdown:
    """Differences between runs at the same context gain, in brackets where they are not told from none.

    Args:
        equal: of ``equal_gains``.
    """
    if equal.empty:
        return Markdown("No two runs here have gained as much from context: there is nothing to compare.")
    metrics = [name for name in COMPARED if name in set(equal["metric"])]
    heads = ["Difference", "gain, bits", *(FOLLOWED[name].text for name in metrics)]
    lines = [f"| {' | '.join(heads)} |", "| --- | ---: |" + " ---: |" * len(metrics)]
    keys = ["by", "condition", "setting", "other_condition", "other_setting"]
    for key, own in equal.groupby(keys, sort=False):
        found = own.set_index("metric")
        cells = [told_difference(found.loc[name], name) if name in found.index else "–" for name in metrics]
        lines.append(f"| {run_pair(*key)} | {gain_between(own)} | {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def far_between(own: pd.DataFrame) -> bool:
    """Whether the checkpoints around a gain are further apart than the gain is large."""
    row = own.iloc[0]
    return bool(row["above"] - row["below"] > row["gain"])


def gain_between(own: pd.DataFrame) -> str:
    """A gain with those of the checkpoints around it: ``0.59 (between 0.01 and 1.35: far apart)``."""
    row = own.iloc[0]
    far = ": far apart" if far_between(own) else ""
    return f"{row['gain']:.2f} (between {row['below']:.2f} and {row['above']:.2f}{far})"


def run_pair(by: str, condition: str, setting: Setting, other_condition: str, other: Setting) -> str:
    """Two runs by what they differ in."""
    if by == KIND:
        return f"`{condition}` less `{other_condition}` ({model_name(setting)})"
    return f"{model_name(setting)} less {model_name(other)} (`{condition}`)"


def equal_tokens_table(found: pd.DataFrame) -> Markdown:
    """DNA less text after the same tokens, checkpoint by checkpoint, in the training that reads most.

    Args:
        found: of ``equal_tokens``.
    """
    if found.empty:
        return Markdown("There is no text beside DNA here.")
    most = main_setting(dict.fromkeys(zip(found["condition"], found["setting"], strict=True)))
    rows = found[found["setting"] == most]
    steps = sorted(set(rows["tokens"]))[-5:]
    lines = [
        f"| {model_name(most)}: DNA less text after | {' | '.join(million(tokens) for tokens in steps)} |",
        "| --- |" + " ---: |" * len(steps),
    ]
    for (metric, condition), own in rows.groupby(["metric", "condition"], sort=False):
        at = own.drop_duplicates("tokens").set_index("tokens")
        cells = [told_difference(at.loc[step], str(metric)) if step in at.index else "–" for step in steps]
        lines.append(f"| {FOLLOWED[str(metric)].text}, `{condition}` | {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def extrapolation_table(found: pd.DataFrame) -> Markdown:
    """What the validation losses say of more tokens.

    Args:
        found: of ``extrapolations``.
    """
    if found.empty:
        return Markdown("The runs here have too few checkpoints, or members, for an extrapolation.")
    heads = ["", "training", "points", f"loss after {FURTHEST} times the tokens", "after any number",
             "last point missed by"]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "| --- | --- | --- |" + " ---: |" * (len(heads) - 3)]
    names = setting_names(found)
    for condition, setting in settings_of(found):
        own = found[(found["condition"] == condition) & found["x"].str.endswith(setting.x(0)[1:])]
        for points, rows in own.groupby("state", sort=False):
            at = rows.set_index("metric")
            cells = [bounded(at.loc[name]) for name in (LATER, FLOOR)]
            row = [f"`{condition}`", names[setting], str(points), *cells, f"{at.loc[MISS, 'value']:+.3f}"]
            lines.append(f"| {' | '.join(row)} |")
    return Markdown("\n".join(lines))


def bounded(row: pd.Series) -> str:
    """A number of an extrapolation with its interval, or that it is not told."""
    return "not told" if pd.isna(row["low"]) else interval(row["value"], row["low"], row["high"])
