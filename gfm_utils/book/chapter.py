"""What every chapter starts from: its checked parameters, the ensembles, and a place for its results."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from IPython.core.getipython import get_ipython
from IPython.display import Markdown
from myst_nb import glue

from gfm_utils.book.headline import headline_numbers, headline_runs, headline_table
from gfm_utils.corpora import Corpus
from gfm_utils.ensembles import Ensemble, device, train_ensembles
from gfm_utils.errors import GfmError, unknown
from gfm_utils.measures.estimates import name_last
from gfm_utils.profiles import DEFAULT_CONDITIONS, Profile, profile
from gfm_utils.tables import write_table
from gfm_utils.tokens import Condition, TokenStore, corpora_of, load_corpus, prepare

#: Stands for the profile that fits the machine.
AUTO = "auto"
#: The parameters of every chapter, with a value of the type of each.
PARAMETERS: dict[str, Any] = {
    "profile": AUTO, "conditions": list(DEFAULT_CONDITIONS), "runs_dir": "../runs",
    "results_dir": "../_build/results", "seed": 42,
}  # fmt: skip
#: How the cell begins that papermill puts below the one with the defaults.
_INJECTED = "# Parameters\n"


@dataclass(frozen=True)
class Chapter:
    """One chapter of one run."""

    name: str  # of the chapter, and of its result table
    profile: Profile  # the size of everything
    conditions: tuple[str, ...]  # what the run compares, corpus@tokenizer each
    runs_dir: Path  # folder of token arrays and ensembles
    results_dir: Path  # where the result table goes
    seed: int  # of splits, order of windows and masks

    @cached_property
    def corpora(self) -> list[Corpus]:
        """The corpora of the conditions, each once."""
        return [load_corpus(name, self.profile) for name in corpora_of(self.conditions)]

    @cached_property
    def stores(self) -> list[TokenStore]:
        """The tokens of each condition, made if they are not there."""
        return [prepare(each, self.profile, self.runs_dir, self.seed) for each in self._parsed]

    @cached_property
    def ensembles(self) -> list[Ensemble]:
        """The ensemble of each condition, trained if it is not there."""
        return train_ensembles(self._parsed, self.profile, self.runs_dir, self.seed)

    @property
    def _parsed(self) -> list[Condition]:
        return list(map(Condition.parse, self.conditions))

    def save(self, *results: pd.DataFrame) -> pd.DataFrame:
        """Write result tables as that of the chapter, and return it; a row that several hold is written once."""
        table = pd.concat(results, ignore_index=True).drop_duplicates(ignore_index=True)
        write_table(table, self.results_dir / f"{self.name}.parquet")
        return table

    def headline(self, table: pd.DataFrame, **slots: str) -> None:
        """Put measures into the sentences at the top of the page, and ``numbers``, a table of them, below.

        They are those of this run or of a recorded one of the same conditions, whichever has trained longer;
        ``slots`` as of ``headline_numbers``.
        """
        measures = list(dict.fromkeys(slot.partition(":")[0] for slot in slots.values()))
        tokens = self.profile.steps_taken * self.profile.batch * self.profile.window
        runs = headline_runs(name_last(table), measures, tokens)
        source, rows = next(iter(runs.items()))
        self.put(**headline_numbers(rows, slots), source=source[0].lower() + source[1:])
        glue("numbers", Markdown(headline_table(runs, measures)), display=False)

    def say(self, table: pd.DataFrame, **slots: str) -> None:
        """Put measures of this run into sentences of the page; ``table`` and ``slots`` as of ``headline``."""
        self.put(**headline_numbers(name_last(table), slots))

    def put(self, **values: str) -> None:
        """Put values into the sentences of the page that name them."""
        for name, text in values.items():
            glue(name, Markdown(text), display=False)


def open_chapter(
    name: str, profile_name: str, conditions: Sequence[str] | str, runs_dir: str, results_dir: str, seed: int
) -> Chapter:
    """Check a chapter's parameters and open it.

    Args:
        name: of the chapter.
        profile_name: of the profile; ``auto``: ``colab`` where PyTorch has a GPU, else ``quick``.
        conditions: ``corpus@tokenizer`` each; or one of them, or a list written as YAML or JSON, as a text,
            which is what ``papermill -p conditions`` passes on.
        runs_dir: folder of token arrays and ensembles.
        results_dir: where the result table goes.
        seed: of splits, order of windows and masks.

    Raises:
        GfmError: papermill was given a parameter that does not exist, one is of another type, or the profile, a
            condition or its corpus does not exist.
    """
    conditions = listed(conditions)
    given = dict(zip(PARAMETERS, (profile_name, conditions, runs_dir, results_dir, seed), strict=True))
    for injected in injected_names():  # of one that a chapter does not have papermill itself only warns
        if injected not in given:
            raise unknown("parameter of the chapter", injected, given)
    for parameter, default in PARAMETERS.items():
        value = given[parameter]
        if type(value) is not type(default) or (value is conditions and {*map(type, value)} - {str}):
            raise GfmError(
                f"parameter {parameter!r} of the chapter is {value!r}; it must be of the type of "
                f"{default!r} (the parameters are {', '.join(PARAMETERS)})"
            )
    parsed = tuple(str(Condition.resolve(condition)) for condition in conditions)
    if profile_name == AUTO:
        profile_name = "colab" if device() == "cuda" else "quick"
    return Chapter(name, profile(profile_name), parsed, Path(runs_dir), Path(results_dir), seed)


def listed(conditions: Sequence[str] | str) -> list[Any]:
    """Conditions as a list, also from one text: a list in YAML or JSON, or a single condition."""
    if not isinstance(conditions, str):
        return list(conditions) if isinstance(conditions, list | tuple) else [conditions]
    if not conditions.lstrip().startswith("["):
        return [conditions]
    try:
        return list(yaml.safe_load(conditions))
    except yaml.YAMLError:
        raise GfmError(
            f"parameter 'conditions' is {conditions!r}, which is no list; write it as "
            '["corpus@tokenizer", "corpus@tokenizer"]'
        ) from None


def injected_names() -> list[str]:
    """Names that the cell of papermill sets in this notebook; empty outside of one, or without parameters.

    IPython keeps the sources of the cells that it has run, and papermill's begins with a comment.
    """
    shell = get_ipython()
    sources = [] if shell is None else shell.user_ns.get("In", [])
    injected = [source for source in sources if source.startswith(_INJECTED)]
    return [name for source in injected for name in re.findall(r"^(\w+) = ", source, re.MULTILINE)]
