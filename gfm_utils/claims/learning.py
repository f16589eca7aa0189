"""Learning curves: what each member's loss did while it was trained, and what its level means."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from gfm_utils import tables
from gfm_utils.claims.dose import live_conditions
from gfm_utils.ensembles import Ensemble
from gfm_utils.entropy.blocks import block_entropies
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.measures.controls import first_of_text, no_layers_wanted, shuffled_wanted, trained_beside
from gfm_utils.measures.counting import frequency_bits
from gfm_utils.measures.rows import Row, member_rows
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition

#: Largest number of tokens a block whose conditional entropy a loss is compared with.
LONGEST_BLOCK = 3
#: Presets of one size: rotary positions, BERT with rotary positions, and BERT with its own, absolute ones.
POSITIONS = ("modernbert-2x64", "roformer-2x64", "bert-2x64")


def learning_curves(ensembles: Sequence[Ensemble]) -> pd.DataFrame:
    """Result table of the losses at log-spaced steps, their levels, and the speed of training.

    Metrics: ``validation_nll`` (bits/token, axis ``tokens``: tokens read so far), measured on the same masked
    windows of the validation part for all members; ``validation_unigram_nll``, the cross-entropy of the
    validation part under the training part's token frequencies; ``conditional_entropy`` (bits/token, axis
    ``order``), of a token of the training part given the k - 1 before it, by Grassberger's estimator, where the
    sample suffices; ``validation_nll_kept`` (bits/token), of the weights that members have, where these are not
    the last ones but the best; of one member ``training_time`` (s) and ``training_speed`` (tokens/s).
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        rows += _levels(ensemble)
        rows += loss_rows(ensemble, "trained")
        if ensemble.spec.keep == "best":
            best = {"condition": ensemble.condition, "state": "trained", "metric": "validation_nll_kept"}
            losses = np.array([member.validation_loss for member in ensemble.members])
            rows += member_rows({**best, "unit": "bits/token"}, ensemble.seeds, losses, 1)
        base = {"condition": ensemble.condition, "state": "trained"}
        seconds = np.array([member.provenance["seconds"] for member in ensemble.members])
        for metric, unit, values in (
            ("training_time", "s", seconds),
            ("training_speed", "tokens/s", ensemble.spec.tokens_seen / seconds),
        ):
            rows += member_rows({**base, "metric": metric, "unit": unit}, ensemble.seeds, values, 1)
    return tables.table(rows)


def position_curves(ensembles: Sequence[Ensemble], profile: Profile) -> pd.DataFrame:
    """Result table of a few members each of encoders of one size with positions of different kinds.

    ``validation_nll`` (bits/token, axis ``tokens``) with the presets ``POSITIONS`` as states, and its levels as in
    ``learning_curves``. They read the same batches of the run's first text (without context to be learned there
    would be nothing to see), with the budget of the profile. All members with which later chapters compare the
    run's are trained along with them, as processes take seconds to start.
    """
    chosen = first_of_text(ensembles)
    rows = _levels(chosen)
    wanted = [(Condition.parse(chosen.condition), profile.changed(preset=preset)) for preset in POSITIONS]
    doses = live_conditions([ensemble.store for ensemble in ensembles])
    later = [*no_layers_wanted(ensembles, profile), shuffled_wanted(ensembles, profile)]
    trained = trained_beside(ensembles, [*wanted, *later, *[(Condition.parse(dose), profile) for dose in doses]])
    for preset, ensemble in zip(POSITIONS, trained, strict=False):
        rows += loss_rows(ensemble, preset)
    return tables.table(rows)


def _levels(ensemble: Ensemble) -> list[Row]:
    """What a loss is compared with."""
    store, base = ensemble.store, {"condition": ensemble.condition}
    train, held_out = store.counts("train"), store.counts("validation")
    unigram = float(held_out @ frequency_bits(train) / held_out.sum())
    rows: list[Row] = [{
        **base, "metric": "validation_unigram_nll", "unit": "bits/token", "value": unigram,
        "n": int(held_out.sum()),
    }]  # fmt: skip
    blocks = block_entropies(store.segments("train"), store.vocabulary, LONGEST_BLOCK, untrusted_orders=1)
    for result in blocks:
        if result.estimator is Estimator.GRASSBERGER and result.trusted:
            se = np.nan_to_num(result.conditional_se)
            rows.append({
                **base, "metric": "conditional_entropy", "unit": "bits/token", "axis": "order", "x": result.order,
                "value": result.conditional, "low": result.conditional - 1.96 * se,
                "high": result.conditional + 1.96 * se, "n": result.observations,
            })  # fmt: skip
    return rows


def loss_rows(ensemble: Ensemble, state: str) -> Iterator[Row]:
    """Validation loss of each member at the steps at which it was measured, over the tokens read by then."""
    losses = np.stack([member.metrics["validation_loss"].to_numpy() for member in ensemble.members])
    base = {"condition": ensemble.condition, "metric": "validation_nll", "unit": "bits/token", "axis": "tokens"}
    for place, tokens in enumerate(ensemble.members[0].metrics["tokens"]):
        yield from member_rows({**base, "state": state, "x": int(tokens)}, ensemble.seeds, losses[:, place], 1)
