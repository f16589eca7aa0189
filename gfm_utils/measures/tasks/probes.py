"""Probes: logistic regression on frozen features, tested on blocks of sequence that it has not seen."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gfm_utils.measures.tasks.examples import Task

FOLDS = 5
#: Inverse strengths of regularisation that are tried; features are scaled to unit variance.
STRENGTHS = (0.003, 0.1)
#: Largest lengths of k-mers or character n-grams that are counted, each with all below it.
LENGTHS = (3, 5)
#: Symbols on either side of a site that are read one by one.
NEAR = 16
Floats = npt.NDArray[np.float64]
Features = Floats | csr_matrix
#: Stands for a hidden word, and for what lies beyond the end of a stretch.
_GAP = "_"


class Probed(NamedTuple):
    """What probes make of one family of features."""

    scores: Floats  # of every stretch, by a probe that has not seen its fold, shape (n,)
    blocks: Floats  # area under the curve in each block, shape (blocks,)
    forms: Floats  # the same of each form with its best strength on the other folds, shape (forms, blocks)
    chosen: Sequence[tuple[int, float]]  # form and strength by fold


def fold_of(task: Task) -> npt.NDArray[np.int64]:
    """The fold of each stretch: blocks are dealt out in turn, shape (n,)."""
    return np.unique(task.block, return_inverse=True)[1] % FOLDS


def block_auc(task: Task, labels: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """Area under the curve within each block, by ranks (Mann and Whitney, 1947; Hanley and McNeil, 1982).

    Of labels and scores (n,), whose ties count one half; shape (blocks,), chance is 0.5. How scores drift from
    block to block does not matter.
    """
    areas = []
    for block in np.unique(task.block):
        here = task.block == block
        truth, ranks = labels[here], rankdata(scores[here])
        first = truth.sum()
        areas.append((ranks[truth].sum() - first * (first + 1) / 2) / (first * (~truth).sum()))
    return np.array(areas)


def probe(task: Task, forms: Sequence[Features], labels: npt.NDArray[np.bool_] | None = None) -> Probed:
    """Probe a family of features in several forms (n, dimensions), such as layers; with other labels if given.

    Blocks are dealt out to ``FOLDS`` folds, and each fold is predicted by a probe of the others. The form and the
    strength of regularisation in a fold are decided by probes of three of the others, tested on the fourth: had
    they seen the fold, a form that agrees with it by chance would be preferred.
    """
    truth, fold = task.labels if labels is None else labels, fold_of(task)
    fold_of_block = np.arange(len(np.unique(task.block))) % FOLDS
    asked = np.array([[_of_neighbours(one, truth, fold, strength) for strength in STRENGTHS] for one in forms])
    areas = np.apply_along_axis(lambda scores: block_auc(task, truth, scores), -1, asked)
    of_forms = np.empty((len(forms), len(truth)))
    picked, chosen = np.empty(len(truth)), list[tuple[int, float]]()
    for number in range(FOLDS):
        mine = fold == number
        after, before = (fold_of_block == (number + step) % FOLDS for step in (1, -1))
        level = areas[:, :, 0, after].mean(-1) + areas[:, :, 1, before].mean(-1)
        for form, best in enumerate(level.argmax(1)):
            training = np.flatnonzero(~mine)
            of_forms[form, mine] = _fitted(forms[form], truth, training, STRENGTHS[best], mine)
        form, strength = np.unravel_index(level.argmax(), level.shape)
        picked[mine] = of_forms[form, mine]
        chosen.append((int(form), STRENGTHS[strength]))
    best_of_forms = np.array([block_auc(task, truth, one) for one in of_forms])
    return Probed(picked, block_auc(task, truth, picked), best_of_forms, chosen)


def learning_curve(
    task: Task, forms: Sequence[Features], probed: Probed, sizes: Sequence[int], seed: int
) -> npt.NDArray[np.float64]:
    """Mean area under the curve of probes trained on few labelled stretches, in the forms chosen; shape (sizes,).

    Args:
        task: as of ``probe``.
        forms: likewise.
        probed: what that gave.
        sizes: labelled stretches, drawn at random among those of the other folds.
        seed: of the draw, the same for all features.
    """
    fold, truth = fold_of(task), task.labels
    scores = np.empty((len(sizes), len(truth)))
    for number, (form, strength) in enumerate(probed.chosen):
        rest = np.random.default_rng([seed, number]).permutation(np.flatnonzero(fold != number))
        for row, size in enumerate(sizes):
            scores[row, fold == number] = _fitted(forms[form], truth, rest[:size], strength, fold == number)
    return np.array([block_auc(task, truth, one).mean() for one in scores])


def _of_neighbours(
    features: Features, truth: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64], strength: float
) -> Floats:
    """Scores by probes that have seen neither a stretch's fold nor that before it, or that behind it; (2, n)."""
    scores = np.empty((2, len(truth)))
    for number in range(FOLDS):
        first, second = fold == number, fold == (number + 1) % FOLDS
        pair = _fitted(features, truth, np.flatnonzero(~first & ~second), strength, first | second)
        scores[0, second], scores[1, first] = pair[second[first | second]], pair[first[first | second]]
    return scores


def _fitted(
    features: Features, truth: npt.NDArray[np.bool_], training: npt.NDArray[np.int64], strength: float, asked: Any
) -> Floats:
    """Log odds of the stretches that are asked for; all zero where training has one class alone."""
    if len(set(truth[training].tolist())) < 2:
        return np.zeros(len(truth))[asked]
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(C=strength, max_iter=300, tol=1e-3))
    with warnings.catch_warnings():  # of many counts the last digits do not settle, which no order depends on
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features[training], truth[training])
    return np.asarray(model.decision_function(features[asked]), np.float64)


def symbols_of(task: Task) -> list[str]:
    """Each stretch as a text, a hidden word as one sign."""
    return [one.left + (_GAP if task.where == "hidden" else "") + one.right for one in task.stretches]


def counted(task: Task, lengths: Sequence[int] = LENGTHS) -> list[Features]:
    """Counts of k-mers or character n-grams, a form for each largest length."""
    texts = symbols_of(task)
    return [
        CountVectorizer(analyzer="char", ngram_range=(1, length), lowercase=False, dtype=np.float64, min_df=2)
        .fit_transform(texts).log1p()
        for length in lengths
    ]  # fmt: skip


def one_by_one(task: Task) -> list[Features]:
    """The symbols next to the site, each at its place; nothing for a task of whole stretches."""
    if task.where == "whole":
        return []
    near = [[*one.left[-NEAR:].rjust(NEAR, _GAP), *one.right[:NEAR].ljust(NEAR, _GAP)] for one in task.stretches]
    return [OneHotEncoder().fit_transform(np.array(near))]


def positions(task: Task) -> list[Features]:
    """Where along the sequence a stretch lies, and its square: a check, whose area must be at chance."""
    place = np.array([one.place for one in task.stretches]) / task.total
    return [np.column_stack([place, place**2])]


def shuffled_labels(task: Task, seed: int) -> npt.NDArray[np.bool_]:
    """Labels in random order within each block: a check, whose area must be at chance."""
    rng, labels = np.random.default_rng(seed), task.labels.copy()
    for block in np.unique(task.block):
        labels[task.block == block] = rng.permutation(labels[task.block == block])
    return labels
