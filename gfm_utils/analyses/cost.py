"""What training will cost, as rows for machines and for people."""

from collections.abc import Sequence

import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.rows import Row
from gfm_utils.ensembles import Cost, duration, expected_cost
from gfm_utils.tokens import SPECIAL

GIB = 2**30
#: The paper's vocabulary: 4^6 tokens and the special ones.
PAPER_VOCABULARY = 4**6 + len(SPECIAL)
#: Devices among which the paper's cost is shared out in the chapter.
CLUSTER = 5


def paper_costs() -> pd.DataFrame:
    """Result table of what one condition at the paper's size would cost on this machine, and on some like it.

    Measured for some seconds. The metrics are those of ``cost_table``; the condition is ``random``, as the tokens
    are.
    """
    cost = expected_cost("paper", PAPER_VOCABULARY, CLUSTER)
    return cost_table([cost])


def cost_table(costs: Sequence[Cost]) -> pd.DataFrame:
    """Result table of expected costs.

    Metrics: ``training_time`` (s, axis ``devices``: number of devices), ``device_time`` (h, all devices added
    up), ``device_memory`` (bytes of one member in training, axis ``source``: ``measured`` or ``estimated``)
    and ``disk`` (bytes); ``n`` is the number of members that are not trained yet.

    Args:
        costs: one a condition, and that of all together (condition ``all``).
    """
    rows: list[Row] = []
    for cost in costs:
        base = {"condition": cost.condition, "state": "trained", "n": cost.members}
        times = {1: cost.seconds, cost.devices: cost.seconds_on_devices}
        for devices, seconds in times.items():
            time = {"metric": "training_time", "axis": "devices", "x": devices, "value": seconds, "unit": "s"}
            rows.append({**base, **time})
        source = {"axis": "source", "x": "measured" if cost.memory_measured else "estimated"}
        rows += [
            {**base, "metric": "device_time", "value": cost.device_seconds / 3600, "unit": "h"},
            {**base, "metric": "device_memory", **source, "value": cost.memory_bytes, "unit": "bytes"},
            {**base, "metric": "disk", "value": cost.disk_bytes, "unit": "bytes"},
        ]
    return tables.table(rows)


def cost_overview(costs: Sequence[Cost]) -> list[Row]:
    """The same for people: one row a condition, with units in the cells.

    Args:
        costs: at least one, all for the same number of devices.
    """
    return [
        {
            "condition": cost.condition,
            "members": cost.members,
            "tokens a member": f"{cost.tokens:,}",
            "time on this machine": duration(cost.seconds) if cost.members else "none",
            **({f"on {cost.devices} devices": duration(cost.seconds_on_devices)} if cost.devices > 1 else {}),
            "device-hours": f"{cost.device_seconds / 3600:,.2f}",
            "device memory": f"{cost.memory_bytes / GIB:.2f} GiB "
            + ("(measured)" if cost.memory_measured else "(estimated)"),
            "disk": f"{cost.disk_bytes / GIB:.2f} GiB",
        }
        for cost in costs
    ]
