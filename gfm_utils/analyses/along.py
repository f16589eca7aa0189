"""Predictions along a test window, each token hidden in turn: where are members certain, where do they agree?"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.analyses.disagreement import disagreement_sums
from gfm_utils.analyses.distributions import LOG2
from gfm_utils.analyses.rows import Row
from gfm_utils.ensembles import Ensemble, predictions_of
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, evenly_spaced, mask_all

#: Columns beside those of every result table: which window, its token, and the tokens that members name.
EXTRA = ("window", "token", "named")
#: Of a longer window so many first tokens are shown.
LONGEST = 64


def along_windows(ensembles: Sequence[Ensemble], profile: Profile, windows: int = 3) -> pd.DataFrame:
    """Result table of trained members along test windows (axis ``position``), each token hidden in turn.

    Metrics, means over members or pairs, with the columns ``EXTRA``: ``position_entropy`` and ``position_nll``
    (bits/token), ``position_js_distance`` and ``position_top1_agreement``.

    Args:
        ensembles: one a condition.
        profile: of the run.
        windows: how many, spread evenly over the test part.
    """
    return tables.table((row for ensemble in ensembles for row in _rows(ensemble, windows)), EXTRA)


def _rows(ensemble: Ensemble, windows: int) -> Iterator[Row]:
    store, size = ensemble.store, ensemble.spec.window
    starts = store.window_starts("test", size)
    chosen = starts[evenly_spaced(len(starts), windows + 2)[1:-1]]
    models = list(ensemble.models())
    for number, ids in enumerate(store.windows("test", chosen, size), 1):
        places = np.arange(min(len(ids), LONGEST))[:, None]
        shown = mask_all(np.tile(ids, (len(places), 1)), places, SPECIAL.index("[MASK]"))
        batches = predictions_of(models, shown, places, ids[places], ensemble.spec.vocabulary)
        log_p = torch.cat([batch.log_p[:, :, 0] for batch in batches], dim=1)
        each = disagreement_sums([log_p]).each
        count = log_p.shape[1]
        nll = -log_p[:, torch.arange(count), torch.from_numpy(ids[:count])].mean(0).numpy() / LOG2
        first = log_p.argmax(-1).T.tolist()
        for place in range(count):
            base = {
                "condition": ensemble.condition, "state": "trained", "axis": "position", "x": place + 1,
                "n": len(models), "window": number, "token": store.readable(int(ids[place])),
                "named": ", ".join(map(store.readable, first[place])),
            }  # fmt: skip
            for metric, unit, value in (
                ("position_entropy", "bits/token", each.entropy[place]),
                ("position_nll", "bits/token", nll[place]),
                ("position_js_distance", "distance", each.js[place].mean()),
                ("position_top1_agreement", "share", each.agree[place].mean()),
            ):
                yield {**base, "metric": metric, "unit": unit, "value": float(value)}
