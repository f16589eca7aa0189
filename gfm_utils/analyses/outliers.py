"""Members that are unlike the others: by loss, and by how far their predictions are from the others'."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from gfm_utils.analyses.along_training import LOSS, members_of, settings_of

#: What is looked at: the loss, and the Jensen-Shannon distance, of whose pseudo-values a member's is, but for
#: place and scale, its mean distance to the others.
CHECKED = (LOSS, "js_distance")
#: False alarms of all checks of a table together.
RATE = 0.05


def studentised(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far each value is from the others, in standard errors of that distance (Grubbs, 1950).

    Args:
        values: one number a member, shape (..., members), of three members or more.

    Returns:
        ``(x_i - mean of the others) / (s of the others sqrt(1 + 1 / (m - 1)))``: Student's t with m - 2 degrees of
        freedom where all are normal with one mean and spread; 0 where the others are all the same.
    """
    sample = np.asarray(values, np.float64)
    count = sample.shape[-1]
    apart = (sample - sample.mean(-1, keepdims=True)) * count / (count - 1)
    within = np.square(sample - sample.mean(-1, keepdims=True)).sum(-1, keepdims=True)
    spread = np.sqrt(np.maximum(within - apart**2 * (count - 1) / count, 0.0) / (count - 2))
    return np.divide(apart, spread * np.sqrt(count / (count - 1)), out=np.zeros_like(apart), where=spread > 0)


def score_limit(members: int, checks: int) -> float:
    """The score that members alike exceed in no more than ``RATE`` of tables of so many checks (Bonferroni).

    Args:
        members: of an ensemble, three or more.
        checks: of a table.
    """
    return float(special.stdtrit(members - 2, 1 - RATE / (2 * members * checks)))


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
                scores = studentised(own.to_numpy("float64"))
                found += [
                    {"condition": condition, "setting": setting, "metric": metric, "member": int(member),
                     "value": float(value), "score": float(score), "members": len(own)}
                    for (member, value), score in zip(own.items(), scores, strict=True)
                ]  # fmt: skip
    frame = pd.DataFrame(found, columns=["condition", "setting", "metric", "member", "value", "score", "members"])
    checks = len(frame.drop_duplicates(["condition", "setting", "metric"]))
    frame["limit"] = [score_limit(int(members), checks) for members in frame["members"]]
    return frame.assign(outlier=frame["score"].abs() > frame["limit"]).drop(columns="members")
