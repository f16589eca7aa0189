"""What every chapter starts from: its checked parameters, the ensembles, and a place for its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from IPython.display import Markdown
from myst_nb import glue

from gfm_utils.corpora import Corpus
from gfm_utils.ensembles import Ensemble, train_ensembles
from gfm_utils.profiles import Profile, profile
from gfm_utils.tables import write_table
from gfm_utils.tokens import Condition, TokenStore, load_corpus, prepare


@dataclass(frozen=True)
class Chapter:
    """One chapter of one run.

    Attributes:
        name: of the chapter, and of its result table.
        profile: the size of everything.
        conditions: what the run compares, ``corpus@tokenizer`` each.
        runs_dir: where token arrays and ensembles stand.
        results_dir: where the result table goes.
        seed: of splits, order of windows and masks.
    """

    name: str
    profile: Profile
    conditions: tuple[str, ...]
    runs_dir: Path
    results_dir: Path
    seed: int

    @cached_property
    def corpora(self) -> list[Corpus]:
        """The corpora of the conditions, each once."""
        names = dict.fromkeys(Condition.parse(condition).corpus for condition in self.conditions)
        return [load_corpus(name, self.profile) for name in names]

    @cached_property
    def stores(self) -> list[TokenStore]:
        """The tokens of each condition, made if they are not there."""
        return [prepare(condition, self.profile, self.runs_dir, self.seed) for condition in self.conditions]

    @cached_property
    def ensembles(self) -> list[Ensemble]:
        """The ensemble of each condition, trained if it is not there."""
        return train_ensembles(self.conditions, self.profile, self.runs_dir, self.seed)

    def save(self, *results: pd.DataFrame) -> pd.DataFrame:
        """Write the chapter's result table and return it.

        Args:
            results: result tables, put one below the other; a row that several of them hold is written once.
        """
        table = pd.concat(results, ignore_index=True).drop_duplicates(ignore_index=True)
        write_table(table, self.results_dir / f"{self.name}.parquet")
        return table

    def answer(self, markdown: str) -> Markdown:
        """Show the chapter's answer here, and at the top of its page."""
        shown = Markdown(markdown)
        glue("answer", shown, display=False)
        return shown


def open_chapter(
    name: str, profile_name: str, conditions: Sequence[str], runs_dir: str, results_dir: str, seed: int
) -> Chapter:
    """Check a chapter's parameters and open it.

    Raises:
        GfmError: the profile or a condition does not exist.
    """
    parsed = tuple(str(Condition.parse(condition)) for condition in conditions)
    return Chapter(name, profile(profile_name), parsed, Path(runs_dir), Path(results_dir), seed)
