"""Members that are unlike the others: by loss, and by how far their predictions are from the others'."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.analyses.along_training import LOSS, members_of, settings_of

#: What is looked at: the loss, and the Jensen-Shannon distance, of whose pseudo-values a member's is, but for
#: place and scale, its mean distance to the others.
CHECKED = (LOSS, "js_distance")
#: False alarms of all checks of a table together.
RATE = 0.05
_SAMPLES = 200_000


def robust_scores(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Distances from the median in units of the median absolute deviation (Iglewicz and Hoaglin, 1993).

    Args:
        values: one number a member, shape (members,).

    Returns:
        ``0.6745 (x - median) / MAD``, which is a z-score where many values are normal; 0 where the MAD is.
    """
    sample = np.asarray(values, np.float64)
    apart = sample - np.median(sample, axis=-1, keepdims=True)
    spread = np.median(np.abs(apart), axis=-1, keepdims=True)
    return np.divide(0.6745 * apart, spread, out=np.zeros_like(apart), where=spread > 0)


@cache
def score_limit(members: int, checks: int) -> float:
    """The largest score that members alike would have in all but ``RATE`` of tables of so many checks.

    By simulation of normal values: the median of few members is so uncertain that the usual limit, 3.5, would find
    an outlier in a fifth of ensembles of five.

    Args:
        members: of an ensemble, two or more.
        checks: of a table; their rates of false alarm are added (Bonferroni), for they are not independent.
    """
    sample = np.random.default_rng(0).normal(size=(_SAMPLES, members))
    return float(np.quantile(np.abs(robust_scores(sample)).max(axis=1), 1 - RATE / checks))


def outliers(table: pd.DataFrame) -> pd.DataFrame:
    """Members that lie apart from the others of their ensemble after their whole training.

    Args:
        table: of ``along_training``.

    Returns:
        One row a condition, setting, measure of ``CHECKED`` and member: ``condition``, ``setting`` (text after the
        tokens on its axis), ``metric``, ``member``, ``value``, ``score``, ``limit`` and ``outlier``.
    """
    found, numbers = [], members_of(table)
    for condition, setting in settings_of(table):
        for metric in CHECKED:
            own = numbers.get((condition, setting.x(setting.budget), metric))
            if own is not None and len(own) > 2:
                scores = robust_scores(own.to_numpy("float64"))
                found += [
                    {"condition": condition, "setting": setting, "metric": metric, "member": int(member),
                     "value": float(value), "score": float(score), "members": len(own)}
                    for (member, value), score in zip(own.items(), scores, strict=True)
                ]  # fmt: skip
    frame = pd.DataFrame(found, columns=["condition", "setting", "metric", "member", "value", "score", "members"])
    checks = len(frame.drop_duplicates(["condition", "setting", "metric"]))
    frame["limit"] = [score_limit(int(members), checks) for members in frame["members"]]
    return frame.assign(outlier=frame["score"].abs() > frame["limit"]).drop(columns="members")
