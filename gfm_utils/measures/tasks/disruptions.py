"""Disrupted sequence, which a model of genes or of a language should find less likely than the true one.

The same is done to a *foreground*, where it destroys something, and to a *background*, where it does not.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from gfm_utils.measures.tasks.examples import Stretch, Task

Rng = np.random.Generator
Edit = Callable[[str, str, Rng], str]


def frame_shift(left: str, right: str, rng: Rng) -> str:
    """A base of the middle goes, and all behind it moves up; the last base is written twice."""
    bases, middle = left + right, len(left + right) // 2
    return bases[:middle] + bases[middle + 1 :] + bases[-1:]


def shuffled_triplets(left: str, right: str, rng: Rng) -> str:
    """The triplets of a stretch in random order, counted from its beginning."""
    bases = left + right
    triplets = [bases[begin : begin + 3] for begin in range(0, len(bases) - len(bases) % 3, 3)]
    return "".join(triplets[number] for number in rng.permutation(len(triplets))) + bases[3 * len(triplets) :]


def mutated_site(left: str, right: str, rng: Rng) -> str:
    """The two bases of the site are each replaced by one of the other three."""
    other = ["ACGT".replace(base, "")[rng.integers(3)] for base in right[:2]]
    return left + "".join(other) + right[2:]


def swapped_words(left: str, right: str, rng: Rng) -> str:
    """Every second pair of neighbouring words is swapped, in the middle half of the stretch."""
    words = (left + right).split(" ")
    quarter = len(words) // 4
    for first in range(quarter, len(words) - quarter - 1, 4):
        words[first], words[first + 1] = words[first + 1], words[first]
    return " ".join(words)


#: Of DNA: the task whose two classes are foreground and background -> name and what is done to them.
OF_DNA: Mapping[str, Mapping[str, Edit]] = {
    "coding": {"frame shift": frame_shift, "triplets shuffled": shuffled_triplets},
    "donor": {"splice site mutated": mutated_site},
}


def disrupted(task: Task, edit: Edit, seed: int) -> list[str]:
    """Every stretch as it is, and then every stretch disrupted."""
    rng = np.random.default_rng(seed)
    whole = [one.left + one.right for one in task.stretches]
    return whole + [edit(one.left, one.right, rng) for one in task.stretches]


def with_shuffled_words(task: Task, seed: int) -> Task:
    """Text as it is as foreground, and that of the other class with its words in random order as background."""
    rng = np.random.default_rng(seed)

    def text(one: Stretch) -> str:
        words = (one.left + one.right).split()
        return " ".join(words if one.label else [words[number] for number in rng.permutation(len(words))])

    stretches = [one._replace(left="", right=text(one)) for one in task.stretches]
    return replace(task, name="words", where="whole", stretches=stretches)
