"""Any masked language models as an ensemble: the analyses that need neither training part nor untrained state."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.corpora import Corpus
from gfm_utils.ensembles import Predictions, device, predictions_of
from gfm_utils.errors import GfmError, first_line, unknown
from gfm_utils.measures.contextual import masked_windows, member_layer_rows, sampled_windows
from gfm_utils.measures.disagreement import all_rows
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.measuring import group_rows, trace
from gfm_utils.measures.geometry import FEWEST_TOKENS
from gfm_utils.measures.output import output_moments, output_rows
from gfm_utils.measures.pretrained import (
    check_windows,
    load_model,
    load_tokenizer,
    members_of,
    same_tokenizers,
    special_ids,
)
from gfm_utils.measures.reading import Hidden, read
from gfm_utils.measures.rows import Row
from gfm_utils.measures.static import all_row_rows, embedding_rows, frequency_bands, input_embeddings
from gfm_utils.measures.tasks import Reader, read_tasks, task_rows

Integers = npt.NDArray[np.int64]
#: Windows that each model reads before any analysis begins; where one takes parts of several for one window, as
#: Nystromformer does with windows of half its length, an odd number shows it.
PROBED = 3


class Checkpoints(NamedTuple):
    """Models that share a vocabulary, and what they read.

    Attributes:
        names: of the models.
        base: condition and state of their rows.
        tokenizer: theirs, where there is a corpus or one was named.
        reading: what they read, a ``Reading``; None without a corpus, for analyses that need none.
        mask: share of tokens hidden from them.
        seed: of masks and samples.
        corpus: whole, as letters.
        annotation: of the corpus, for tasks: GFF3 of DNA, a lexicon of text.
    """

    names: Sequence[str]
    base: Row
    tokenizer: Any
    reading: Any
    mask: float
    seed: int
    corpus: Corpus | None = None
    annotation: Path | None = None

    @property
    def seeds(self) -> list[int]:
        """Numbers of the models in the order of their names, in place of seeds."""
        return list(range(1, len(self.names) + 1))

    def models(self) -> Iterator[Any]:
        """Every model on the device, loaded when it is asked for."""
        return (load_model(name).to(device()) for name in self.names)

    def check(self) -> None:
        """Refuse a model that cannot be loaded, has another vocabulary, or cannot read the windows."""
        first = 0
        for name in self.names:
            model = load_model(name)
            size = len(model.get_input_embeddings().weight)
            first = first or size
            if size != first:
                raise GfmError(
                    f"{name} has {size} tokens and {self.names[0]} {first}: models must share a vocabulary to be "
                    "compared token by token"
                )
            if self.reading is None:
                continue
            used = max(int(self.reading.shown.max()), self.reading.tokenizer.mask_token_id or 0)
            if used >= size:
                around = used in (*self.reading.before, *self.reading.after)
                advice = ", or --special-tokens none, for it stands around each window" if around else ""
                raise GfmError(
                    f"the tokenizer has tokens that {name} lacks ({used}): name its own by --tokenizer{advice}"
                )
            check_windows(name, model, self.reading.shown[:PROBED])

    def predictions(self, hidden: Hidden) -> Iterator[Predictions]:
        """The models' distributions over the tokenizer's tokens at hidden ones; all models are in memory."""
        models = list(self.models())
        width = min(self.reading.vocabulary, len(models[0].get_input_embeddings().weight))
        return predictions_of(models, hidden.shown, hidden.positions, hidden.targets, width)


def _predictions(of: Checkpoints) -> Iterator[Row]:
    """Without n-grams and untrained members; token frequencies are those of the other windows."""
    hidden = of.reading.hidden(of.mask, of.seed)
    counting = of.reading.counting(of.base["condition"], hidden)
    yield from counting.rows()
    moments = output_moments((batch.log_p, batch.targets) for batch in of.predictions(hidden))
    yield from output_rows(of.base, of.seeds, moments, counting)


def _disagreement(of: Checkpoints) -> Iterator[Row]:
    """With all controls but untrained members."""
    hidden = of.reading.hidden(of.mask, of.seed)
    return all_rows(of.base, of.seeds, of.predictions(hidden), hidden.targets.shape, of.reading.bands(hidden))


def _fisher(of: Checkpoints) -> Iterator[Row]:
    """Of the same hidden tokens, a few a window: by group, without controls."""
    hidden = of.reading.hidden(of.mask, of.seed)
    shown, positions, targets = (torch.from_numpy(array).to(device()) for array in hidden[1:])
    examples = MaskedTokens(shown, positions, targets, of.reading.tokenizer.mask_token_id).thinned()
    return group_rows(of.base, of.seeds, [trace(model, examples) for model in of.models()], examples.tokens)


def _static(of: Checkpoints) -> Iterator[Row]:
    """Of the tokens that the corpus has, in frequency bands; without one of all but the special tokens."""
    matrices = [input_embeddings(model) for model in of.models()]
    tokens, bands = np.arange(len(matrices[0])), {}
    if of.tokenizer is not None:
        known = tokens[: 1 + max(of.tokenizer.get_vocab().values())]
        tokens = np.setdiff1d(known, special_ids(of.tokenizer))
    if of.reading is not None:
        counts = of.reading.counts
        tokens = tokens[counts[tokens] > 0]
        bands = frequency_bands(counts[tokens])
    if len(tokens) < FEWEST_TOKENS:
        raise GfmError(f"{len(tokens)} different tokens are too few to compare: give a longer corpus")
    yield from embedding_rows(of.base, of.seeds, [matrix[tokens] for matrix in matrices], bands)
    yield from all_row_rows(of.base, of.seeds, matrices)


def _contextual(of: Checkpoints) -> Iterator[Row]:
    """Of the windows with nothing hidden and, where the tokenizer has a mask, with what the paper's code hides."""
    windows = sampled_windows(of.reading.ids, of.seed, (of.reading.before, of.reading.after))
    mask = of.reading.tokenizer.mask_token_id
    masked = None if mask is None else masked_windows(windows, mask, of.seed)
    return member_layer_rows(of.base, of.seeds, of.models(), windows, masked)


def _tasks(of: Checkpoints) -> Iterator[Row]:
    """Of labelled stretches of the whole corpus; whether models were trained on it nothing here can tell."""
    assert of.corpus is not None and of.annotation is not None  # as analyse_models has checked
    reader = Reader(of.tokenizer, of.corpus.kind, of.reading.shown.shape[1], (of.reading.before, of.reading.after))
    lengths, most = of.reading.windows["length"], 2 * len(of.reading.windows)
    read = read_tasks(
        of.base["condition"], of.corpus.segments, of.annotation, reader, float(lengths.mean()), most, of.seed
    )
    return task_rows(read, of.seeds, {"trained": of.models})


class Analysis(NamedTuple):
    """An analysis: the chapter whose table has the same metrics, the rows of some models, and what it needs."""

    chapter: str
    rows: Callable[[Checkpoints], Iterator[Row]]
    needs: Sequence[str] = ()


#: Need of an analysis -> what is said where it is not there.
NEEDS = {
    "others": "one model has nothing to be compared with: name two or more, or give a --corpus and of --only what "
    "suffices for one (predictions, fisher, tasks)",
    "corpus": "it needs something to read: give --corpus, or --only static",
    "annotation": "it needs labels: give --annotation, the GFF3 file of DNA or the lexicon of a text",
}
#: By the names that a user gives.
ANALYSES: dict[str, Analysis] = {
    "predictions": Analysis("predictions", _predictions, ["corpus"]),
    "disagreement": Analysis("disagreement", _disagreement, ["others", "corpus"]),
    "static": Analysis("static_embeddings", _static, ["others"]),
    "contextual": Analysis("contextual_embeddings", _contextual, ["others", "corpus"]),
    "fisher": Analysis("fisher", _fisher, ["corpus"]),
    "tasks": Analysis("tasks", _tasks, ["corpus", "annotation"]),
}


class Analysed(NamedTuple):
    """Result tables by the name of their chapter; and analysis -> why it could not be done, in a clause."""

    tables: dict[str, pd.DataFrame]
    failed: dict[str, str]


def analyse_models(
    names: Sequence[str],
    corpus: Corpus | None = None,
    tokenizer: str | None = None,
    only: Sequence[str] | None = None,
    window: int = 64,
    windows: int = 512,
    mask: float = 0.15,
    seed: int = 42,
    special_tokens: str = "auto",
    annotation: Path | None = None,
) -> Analysed:
    """Result tables of models that share a vocabulary, with the metrics of the book's own ensembles.

    Members have the numbers 1, 2, ... in the order of the names, in place of seeds; the condition is the
    corpus with the first model's name, or that name alone. What needs untrained members or the training part is
    not there. Distributions are over the tokenizer's tokens: logits by which a model is padded are left out.
    Special tokens are neither hidden nor counted, and no hidden states of theirs are compared.

    Args:
        names: checkpoints or names of the hub; a directory of members stands for all of them.
        corpus: what the models read.
        tokenizer: a directory or name, instead of those beside the models, which must be equal.
        only: of ``ANALYSES``; None: all whose needs are there.
        window: tokens a window, special ones included.
        windows: how many are read at most, spread evenly over every second one of the corpus.
        mask: share of tokens hidden for predictions and disagreement.
        seed: of masks and samples.
        special_tokens: ``auto``: those that the tokenizer's own template puts around each window; ``none``.
        annotation: of the corpus, for tasks: GFF3 of DNA; of text a lexicon, with a word and its tag a line.

    Raises:
        GfmError: a model or tokenizer cannot be had, vocabularies differ, the corpus or its annotation is missing,
            too short or unknown to the tokenizer, or nothing could be done.
    """
    members = members_of(names)
    there = {"others": len(members) > 1, "corpus": corpus is not None, "annotation": annotation is not None}
    chosen = only or [name for name, one in ANALYSES.items() if all(there[need] for need in one.needs)]
    for name in chosen or ["static"]:
        if name not in ANALYSES:
            raise unknown("analysis", name, ANALYSES)
        for need in ANALYSES[name].needs:
            if not there[need]:
                raise GfmError(f"{name}: {NEEDS[need]}")
    reader = load_tokenizer(tokenizer or members[0]) if corpus is not None or tokenizer is not None else None
    if reader is not None and tokenizer is None:
        same_tokenizers(members, reader)
    label = Path(names[0]).name if Path(names[0]).exists() else names[0]
    base: Row = {"condition": label if corpus is None else f"{corpus.name}@{label}", "state": "trained"}
    reading = None if corpus is None else read(corpus, reader, window, windows, special_tokens)
    models = Checkpoints(members, base, reader, reading, mask, seed, corpus, annotation)
    models.check()
    return _all_that_can(chosen, models)


def _all_that_can(chosen: Sequence[str], models: Checkpoints) -> Analysed:
    """Each of the analyses by itself; an error if none could be done."""
    done = Analysed({}, {})
    for name in chosen:
        analysis = ANALYSES[name]
        try:
            with torch.random.fork_rng():
                torch.manual_seed(models.seed)  # for models that draw numbers, as some kinds of attention do
                done.tables[analysis.chapter] = tables.table(analysis.rows(models))
        except GfmError as error:
            done.failed[name] = str(error)
        except Exception as error:  # whatever an architecture that nobody foresaw does
            reason = f"{type(error).__name__}: {first_line(error)}"
            done.failed[name] = f"it does not work on models of this kind ({reason})"
    if not done.tables:
        raise GfmError(reasons_text(done.failed))
    return done


def reasons_text(failed: Mapping[str, str]) -> str:
    """Which analyses failed and why; a reason that several share is said once."""
    reasons: dict[str, list[str]] = {}
    for name, reason in failed.items():
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
