"""What models make of stretches: tokens, hidden states of every layer, and the masked loss."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gfm_utils.ensembles.presets import masked_logits
from gfm_utils.errors import GfmError
from gfm_utils.measures.contextual import BATCH_TOKENS, hidden_states
from gfm_utils.measures.distributions import LOG2
from gfm_utils.measures.reading import encoded
from gfm_utils.measures.tasks.examples import Task

Integers = npt.NDArray[np.int64]
#: A token in so many is hidden at a time, so that each is hidden once.
HIDDEN_AT_ONCE = 4


class Reader(NamedTuple):
    """How models read."""

    tokenizer: Any  # of Hugging Face
    kind: str  # of the corpus
    window: int  # tokens that a model reads at once, special ones included
    around: tuple[Integers, Integers]  # special tokens in front of a stretch and behind it

    @property
    def width_around(self) -> tuple[int, int]:
        """How many special tokens stand in front of a stretch and behind it."""
        return len(self.around[0]), len(self.around[1])

    @property
    def room(self) -> int:
        """Tokens of a stretch that a model reads."""
        return self.window - sum(self.width_around)

    def tokens(self, texts: Sequence[str]) -> list[Integers]:
        """The tokens of each text."""
        return [ids for ids, _ in encoded(list(texts), self.tokenizer, self.kind)]


class TokenizedStretches(NamedTuple):
    """Stretches as tokens."""

    ids: list[Integers]  # of each stretch, special tokens around it
    site: Integers  # place of the token that is asked about, -1 where the whole stretch is; shape (n,)


def read_task(task: Task, reader: Reader) -> TokenizedStretches:
    """The stretches of a task in tokens, as many around the site as a model reads.

    Raises:
        GfmError: a hidden word, and the tokenizer has no mask token.
    """
    mask = reader.tokenizer.mask_token_id
    if task.where == "hidden" and mask is None:
        raise GfmError(f"task {task.name!r} hides a word, and the tokenizer has no mask token")
    middle = np.array([mask] if task.where == "hidden" else [], np.int64)
    left, right = (reader.tokens([getattr(one, side) for one in task.stretches]) for side in ("left", "right"))
    before, after = reader.around
    ids, sites = [], []
    for first, second in zip(left, right, strict=True):
        whole = np.concatenate([first, middle, second])
        site = len(first) - (task.where == "left")
        begin = int(np.clip(site - reader.room // 2, 0, max(0, len(whole) - reader.room)))
        ids.append(np.concatenate([before, whole[begin : begin + reader.room], after]))
        sites.append(-1 if task.where == "whole" else site - begin + len(before))
    return TokenizedStretches(ids, np.array(sites))


def _batches(ids: Sequence[Integers]) -> Iterator[tuple[Integers, Integers]]:
    """Stretches of equal length together: their numbers, and their tokens, shape (n, length)."""
    lengths = np.array(list(map(len, ids)))
    for length in np.unique(lengths):
        every = np.flatnonzero(lengths == length)
        step = max(1, BATCH_TOKENS // int(length))
        for begin in range(0, len(every), step):
            numbers = every[begin : begin + step]
            yield numbers, np.stack([ids[number] for number in numbers])


@torch.inference_mode()
def layer_features(model: Any, read: TokenizedStretches, around: tuple[int, int]) -> list[npt.NDArray[np.float64]]:
    """Features of every layer from the embeddings on, shape (n, hidden) each, or (n, 3 hidden).

    Of a task of whole stretches the mean over a stretch's tokens; of one with a site the states of its token and
    of the one before, and that mean, side by side.
    """
    layers: list[npt.NDArray[np.float64]] = []
    for numbers, tokens in _batches(read.ids):
        site = read.site[numbers]
        for layer, state in enumerate(hidden_states(model, torch.from_numpy(tokens).to(model.device))):
            vectors = state[:, around[0] : state.shape[1] - around[1]].double().mean(1)
            if site[0] >= 0:
                rows, at = torch.arange(len(site)), torch.from_numpy(site)
                near = [state[rows, place].double() for place in (at, (at - 1).clamp(min=0))]
                vectors = torch.cat([*near, vectors], 1)
            if layer == len(layers):
                layers.append(np.empty((len(read.ids), vectors.shape[1])))
            layers[layer][numbers] = vectors.cpu().numpy()
    return layers


@torch.inference_mode()
def masked_bits(
    model: Any, ids: Sequence[Integers], around: tuple[int, int], mask: int
) -> npt.NDArray[np.float64]:
    """Bits that a model spends on each stretch, shape (n,): every ``HIDDEN_AT_ONCE``-th token is hidden, in turn.

    The pseudo-log-likelihood (Salazar et al., 2020) with several tokens hidden at once.
    """
    bits = np.zeros(len(ids))
    for numbers, tokens in _batches(ids):
        for first in range(HIDDEN_AT_ONCE):
            places = np.arange(around[0] + first, tokens.shape[1] - around[1], HIDDEN_AT_ONCE)
            if not len(places):
                continue
            shown = tokens.copy()
            shown[:, places] = mask
            at = torch.from_numpy(np.tile(places, (len(tokens), 1))).to(model.device)
            logits = masked_logits(model, torch.from_numpy(shown).to(model.device), at)
            true = torch.from_numpy(tokens[:, places]).to(model.device)
            log_p = logits.double().log_softmax(-1).gather(-1, true[..., None])[..., 0]
            bits[numbers] -= (log_p.sum(1) / LOG2).cpu().numpy()
    return bits
