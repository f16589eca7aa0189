"""Charts and tables along training: measures against tokens and context gain, and what counting and a fit say."""

from functools import partial
from itertools import cycle

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.claims.along_training import (
    AXIS,
    FOLLOWED,
    LEVEL_NLL,
    LOSS,
    Setting,
    main_setting,
    position,
    settings_of,
    tokens_of,
)
from gfm_utils.claims.dose import GAIN
from gfm_utils.claims.extrapolation import FURTHEST, LATER, MISS
from gfm_utils.claims.one_curve import COMPARED, EARLY, KIND, OPTIMISER, changes, clear_sign, nearest
from gfm_utils.figures.dose import gain_axis
from gfm_utils.figures.forms import (
    Menu,
    chosen,
    chosen_title,
    condition_colour,
    finished,
    logarithmic,
    one_below_another,
    stroke_legend,
    tooltips,
)
from gfm_utils.figures.numbers import brief, interval, million, percentage, row_difference, spanned
from gfm_utils.figures.select import conditions_of, named_means, value_of
from gfm_utils.figures.summary_table import cells, markdown_table
from gfm_utils.measures.estimates import kinds

OPTIMISERS = {"muon": "Muon", "adamw": "AdamW"}
#: Counting that saves less, in bits per token, saves hardly anything: a share of it would say nothing.
LEAST_SAVED = 0.05
#: What is drawn beside the models.
COUNTING = "counting on both sides"
#: Of the models of a chart, in their order, and of counting.
MODEL_DASHES = ((1, 0), (6, 4), (8, 3, 2, 3), (2, 2), (10, 4), (4, 2, 1, 2))
COUNTING_DASH = (1, 3)


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
    """The rows over all members of a table of ``along_training``, a row a checkpoint, training and measure.

    Added are ``model`` (with its optimiser), ``tokens``, ``measure`` (for people), and ``gain``, the context gain
    of the checkpoint. Of runs that differ in nothing but their length the shorter ones have their ends alone.
    """
    rows = named_means(table, {name: measure.text for name, measure in FOLLOWED.items()}, AXIS)
    longest: dict[str, int] = {}
    for _, setting in settings_of(table):
        longest[model_name(setting)] = max(setting.budget, longest.get(model_name(setting), 0))
    places = [position(x) for x in rows["x"]]
    rows = rows.rename(columns={"what": "measure"}).assign(
        tokens=[tokens for tokens, _ in places], model=[model_name(setting) for _, setting in places]
    )
    budgets = pd.Series([setting.budget for _, setting in places], rows.index)
    shorter = budgets < rows["model"].map(longest)
    rows.loc[shorter, "model"] += ", ends of shorter runs"
    gains = rows[rows["metric"] == GAIN].set_index(["condition", "x"])["value"].rename("gain")
    return rows[~shorter | (rows["tokens"] == budgets)].join(gains, on=["condition", "x"])


def _curves(base: alt.Chart, x: alt.X, rows: pd.DataFrame) -> list[alt.Chart]:
    """A line a run with its points and intervals, and one without them for counting; ``rows`` of all curves."""
    names = [name for name in dict.fromkeys(rows["model"]) if name != COUNTING]
    dashes = dict(zip(names, cycle(map(list, MODEL_DASHES)))) | {COUNTING: list(COUNTING_DASH)}
    names += [COUNTING] if COUNTING in set(rows["model"]) else []
    scale = alt.Scale(domain=names, range=[dashes[name] for name in names])
    tips = [
        "condition", "model", alt.Tooltip("tokens:Q", title="tokens read", format=".3~s"),
        *tooltips("value", "low", "high", "gain"),
    ]  # fmt: skip
    base = base.encode(
        x=x,
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format="~r", tickCount=5)),
        color=condition_colour(conditions_of(rows)),
    )
    dash = alt.StrokeDash("model:N", title=None, scale=scale, legend=stroke_legend(2))
    models = base.transform_filter(f"datum.model != '{COUNTING}'")
    return [
        models.mark_rule(strokeWidth=1.5, opacity=0.5).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
        base.mark_line(strokeWidth=1.5, opacity=0.8).encode(order="tokens:Q", strokeDash=dash),
        models.mark_point(filled=True, size=30, opacity=1).encode(tooltip=tips),
    ]


def training_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Any measure against the tokens that a member has read; the reader chooses the measure.

    From ``along_training``.
    """
    rows = training_rows(table)
    rows = rows[rows["tokens"] > 0]  # a logarithmic axis has no place for untrained members
    gain = FOLLOWED[GAIN].text
    menu = Menu("training_measure", "measure", list(dict.fromkeys(rows["measure"])), "measure ", gain)
    levels = [
        {"condition": condition, "model": COUNTING, "measure": gain, "tokens": tokens, "value": saved}
        for condition in conditions_of(table) if (saved := counting_saves(table, condition)) is not None
        for tokens in (rows["tokens"].min(), rows["tokens"].max())
    ]  # fmt: skip
    every = pd.concat([rows, pd.DataFrame(levels)], ignore_index=True)
    x = alt.X("tokens:Q", title="tokens read by a member", **logarithmic(rows["tokens"]))
    return finished(_curves(chosen(every, menu), x, every), 320, menu, title=chosen_title(menu))


def one_curve_chart(table: pd.DataFrame) -> alt.ConcatChart:
    """Each measure against the context gain, along the training of every model by every optimiser.

    From ``along_training``.
    """
    rows = training_rows(table).dropna(subset="gain")
    x = gain_axis("gain:Q", "context gain, bits per token", [0, 0.1, 0.3, 1, 3], "~g")
    titles = {name: FOLLOWED[name].text for name in COMPARED}
    return one_below_another(rows, titles, lambda part: _curves(alt.Chart(part), x, rows), 160)


def levels_table(table: pd.DataFrame) -> Markdown:
    """What counting and a code that looks no further than a window reach, beside what models reach.

    From ``along_training``.
    """
    heads = ["", "training", "tokens", "token frequencies", "n-grams on both sides", "best code of a window",
             "models", "saved, share of what counting saves"]  # fmt: skip
    names, rows = setting_names(table), []
    for condition, setting in settings_of(table):
        loss = value_of(table, condition, LOSS, state="trained", axis=AXIS, x=setting.x(setting.budget))
        levels = _levels(table, condition)
        share = saved_share(table, condition, setting)
        rows.append([
            f"`{condition}`",
            names[setting],
            million(setting.budget),
            *(f"{levels[name]:.3f}" if name in levels else "–" for name in ("unigram", "both", "code")),
            interval(loss["value"], loss["low"], loss["high"]),
            "–" if share is None else percentage(share, 0),
        ])  # fmt: skip
    return Markdown(markdown_table(heads, rows, names=2))


def _levels(table: pd.DataFrame, condition: str) -> dict[str, float]:
    """Bits per token of the levels that the table has of a condition, by their names."""
    rows = table[(table["condition"] == condition) & (table["metric"] == LEVEL_NLL)]
    rows = rows[rows["unit"] == "bits/token"]
    return dict(zip(rows["x"], rows["value"], strict=True))


def saved_share(table: pd.DataFrame, condition: str, setting: Setting) -> float | None:
    """What members save at the end, as a share of what counting saves; None where that is hardly any."""
    saves = counting_saves(table, condition)
    gain = value_of(table, condition, GAIN, state="trained", axis=AXIS, x=setting.x(setting.budget))["value"]
    return None if saves is None else float(gain) / saves


def counting_saves(table: pd.DataFrame, condition: str) -> float | None:
    """Bits per token that n-grams on both sides save over token frequencies; None where that is hardly any."""
    levels = _levels(table, condition)
    saves = levels.get("unigram", np.nan) - levels.get("both", np.nan)
    return saves if saves >= LEAST_SAVED else None


def _marked(row: pd.Series) -> str:
    """A difference with its interval; in brackets where that contains zero."""
    text = row_difference(row, FOLLOWED[row["metric"]].percent)
    return text if clear_sign(row) else f"({text})"


def equal_gain_table(equal: pd.DataFrame) -> Markdown:
    """Differences between runs at the same context gain, in brackets where the interval contains zero.

    From ``equal_gains``.
    """
    if equal.empty:
        return Markdown("No two runs here have gained as much from context: there is nothing to compare.")
    metrics = [name for name in COMPARED if name in set(equal["metric"])]
    keys = ["by", "condition", "setting", "other_condition", "other_setting"]
    rows = [
        [_run_pair(*key), f"{of_pair['gain'].iloc[0]:.2f}", *cells(of_pair, "metric", metrics, _marked)]
        for key, of_pair in equal.groupby(keys, sort=False)
    ]
    heads = ["Difference", "gain, bits", *(FOLLOWED[name].text for name in metrics)]
    return Markdown(markdown_table(heads, rows))


def _run_pair(by: str, condition: str, setting: Setting, other_condition: str, other: Setting) -> str:
    """Two runs by what they differ in."""
    if by == KIND:
        return f"`{condition}` less `{other_condition}` ({model_name(setting)})"
    return f"{model_name(setting)} less {model_name(other)} (`{condition}`)"


def equal_tokens_table(differences: pd.DataFrame) -> Markdown:
    """DNA less text after the same tokens, checkpoint by checkpoint, in the training that reads most.

    From ``equal_tokens``.
    """
    if differences.empty:
        return Markdown("There is no text beside DNA here.")
    most = main_setting(dict.fromkeys(zip(differences["condition"], differences["setting"], strict=True)))
    differences = differences[differences["setting"] == most]
    steps = sorted(set(differences["tokens"]))[-5:]
    rows = [
        [f"{FOLLOWED[str(metric)].text}, `{condition}`",
         *cells(measure.drop_duplicates("tokens"), "tokens", steps, _marked)]
        for (metric, condition), measure in differences.groupby(["metric", "condition"], sort=False)
    ]  # fmt: skip
    heads = [f"{model_name(most)}: DNA less text after", *map(million, steps)]
    return Markdown(markdown_table(heads, rows))


def extrapolation_table(later: pd.DataFrame) -> Markdown:
    """What the validation losses say of more tokens (``later``: of ``extrapolations``)."""
    if later.empty:
        return Markdown("The runs here have too few checkpoints, or members, for an extrapolation.")
    heads = ["", "training", f"loss after {FURTHEST} times the tokens", "last point missed by"]
    names, rows = setting_names(later), []
    for condition, setting in settings_of(later):
        run = later[(later["condition"] == condition) & later["x"].str.endswith(setting.x(0)[1:])]
        missed = cells(run, "metric", [MISS], lambda row: f"{row['value']:+.3f}")
        rows.append([f"`{condition}`", names[setting], *cells(run, "metric", [LATER], _bounded), *missed])
    return Markdown(markdown_table(heads, rows, names=2))


def _bounded(row: pd.Series) -> str:
    """A number of an extrapolation with its interval, or that these points do not determine it."""
    return "undetermined" if pd.isna(row["low"]) else interval(row["value"], row["low"], row["high"])


def outliers_table(apart: pd.DataFrame) -> Markdown:
    """The member of each run that lies furthest from the others in each measure, beside the limit of an outlier.

    From ``outliers``.
    """
    if apart.empty:
        return Markdown("Two members are too few to say which of them is unlike the others.")
    runs = [apart[name] for name in ("condition", "setting", "metric")]
    furthest = apart.loc[apart["score"].abs().groupby(runs, sort=False).idxmax()]
    rows = [
        [f"`{row['condition']}`", model_name(row["setting"]), FOLLOWED[row["metric"]].text, f"{row['member']}",
         f"{row['score']:+.1f}", f"{row['limit']:.1f}", "**yes**" if row["outlier"] else "no"]
        for _, row in furthest.iterrows()
    ]  # fmt: skip
    heads = ["", "training", "measure", "seed", "standard errors from the others", "limit", "outlier"]
    return Markdown(markdown_table(heads, rows, names=3))


def training_words(table: pd.DataFrame, equal: pd.DataFrame, along: pd.DataFrame) -> dict[str, str]:
    """What stands in sentences on longer training: gains early and late, and what becomes of differences.

    Args:
        table: of ``along_training``.
        equal: of ``equal_gains``.
        along: of ``equal_tokens``.

    Returns:
        ``tokens`` of a member of the training that reads most, and ``early`` in it; ``early_KIND``, ``gain_KIND``,
        context gain in bits per token then and at the end; ``share_KIND``, the latter as a share of what counting
        saves; ``clear``, differences between DNA and text whose interval excludes zero early; ``same`` and
        ``turned``, those of them that have the same and the other sign at the end; ``size`` of the same then, as a
        share; ``by_optimiser``, comparisons of two optimisers at equal gain that differ clearly, of how many.
    """
    main = main_setting(settings_of(table))
    runs = [condition for condition, setting in settings_of(table) if setting == main]
    early = nearest(tokens_of(table, runs[0], main), EARLY * main.budget)
    said = {"tokens": million(main.budget), "early": million(early)}
    for kind, names in kinds(table).items():
        own = [name for name in names if name in runs]
        for word, tokens in (("early", early), ("gain", main.budget)):
            at = {"state": "trained", "axis": AXIS, "x": main.x(tokens)}
            said[f"{word}_{kind}"] = spanned([value_of(table, name, GAIN, **at)["value"] for name in own], brief)
        shares = (saved_share(table, name, main) for name in own)
        known = (share for share in shares if share is not None)
        said[f"share_{kind}"] = spanned(known, partial(brief, percent=True))
    moved = changes(along, main)
    clear = moved[moved["before"] != 0]
    same = clear[clear["before"] == clear["after"]]
    size = spanned(same["size"], partial(brief, percent=True))
    optimisers = equal[equal["by"] == OPTIMISER].apply(clear_sign, axis=1)
    differ = f"{(optimisers != 0).sum()} of {len(optimisers)}" if len(optimisers) else "–"
    turned = str((clear["before"] == -clear["after"]).sum())
    words = {"clear": str(len(clear)), "same": str(len(same)), "turned": turned, "size": size}
    return {**said, **words, "by_optimiser": differ}
