"""Members differ by what ``vary`` names, and by nothing else."""

import hashlib
from itertools import islice

import numpy as np
import pytest
import torch
from alone import train_member

from gfm_utils.ensembles import build_model
from gfm_utils.ensembles.batches import batches
from gfm_utils.files import sha256_of
from gfm_utils.profiles import VARY


def sha(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def fingerprints(ensemble, vary, seed):
    """Hashes of a member's initial weights, of its first batches' windows, and of its masks.

    Masks are those of given windows wherever in the order these come, so all windows of the first epoch are
    read in the order of their numbers.
    """
    spec = ensemble.spec.model_copy(update={"vary": vary, "steps": 10_000})
    seeds = spec.seeds(seed)
    weights = build_model(spec.preset, spec.vocabulary, spec.window, seeds.init).state_dict()
    per_epoch = len(ensemble.store.window_starts("train", spec.window)) // spec.batch
    epoch = list(islice(batches(ensemble.store, spec, seeds), per_epoch))
    rows = (row for batch in epoch for row in zip(batch.windows, batch.ids, batch.positions, strict=True))
    masks = {int(window): sha(ids, positions) for window, ids, positions in rows}
    return sha(*weights.values()), sha(*(batch.windows for batch in epoch[:3])), masks


@pytest.mark.parametrize("vary", VARY)
def test_exactly_the_named_thing_differs(trained, vary):
    (init, order, masks), (other_init, other_order, other_masks) = (
        fingerprints(trained[0], vary, seed) for seed in (1, 2)
    )
    both = masks.keys() & other_masks.keys()
    assert len(both) > 16
    same = [masks[window] == other_masks[window] for window in both]
    assert (init != other_init) == (vary in ("init", "init+masks", "all"))
    assert (order != other_order) == (vary in ("order", "all"))
    assert not any(same) if vary in ("masks", "init+masks", "all") else all(same)


def test_conditions_have_seeds_of_their_own_and_transforms_those_of_what_they_change(trained):
    def inits(**changed):
        spec = trained[0].spec.model_copy(update=changed)
        return [spec.seeds(member).init for member in range(1, 6)]

    corpus, tokenizer = trained[0].condition.split("@")
    own, others = inits(), [inits(condition=trained[1].condition), inits(condition=f"{corpus}@bpe32")]
    others += [inits(data_seed=43), inits(condition="random")]
    assert len({seed for seeds in (own, *others) for seed in seeds}) == 25
    for transform in ("shuffle", "noise0.3", "markov2+noise0.3"):
        assert inits(condition=f"{corpus}+{transform}@{tokenizer}") == own


def test_members_of_a_variant_begin_alike_and_end_apart(trained, tmp_path):
    """Dropout, which is drawn from the generator, is the same for both too."""
    spec, drawn = trained[0].spec.model_copy(update={"vary": "order", "steps": 1}), []
    for seed in ("1", "2"):
        train_member(spec, trained[0].store, int(seed), tmp_path / seed)
        drawn.append(torch.rand(4).tolist())  # the generator is where training left it
    assert drawn[0] == drawn[1]
    for folder, same in (("untrained", True), (".", False)):
        one, two = (sha256_of(tmp_path / seed / folder / "model.safetensors") for seed in ("1", "2"))
        assert (one == two) == same
