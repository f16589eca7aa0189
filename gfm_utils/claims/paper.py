"""What training at the paper's size costs, and where the profile ``paper`` is not what the paper's code does."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from gfm_utils import tables
from gfm_utils.ensembles import Cost, duration, expected_cost
from gfm_utils.measures.rows import Row
from gfm_utils.profiles import Profile, profile
from gfm_utils.tokens import SPECIAL
from gfm_utils.tokens.tokenizers import MOST_BASES

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


class Deviation(NamedTuple):
    """One thing that is done in another way.

    Attributes:
        what: is done.
        paper: how the paper's code does it, as of its newest commit.
        here: how the profile does it.
        why: the reason.
    """

    what: str
    paper: str
    here: str
    why: str


def deviations(size: Profile | None = None) -> list[Deviation]:
    """All that is kept although the paper's code (github.com/lbcb-sci/GFMs) does it in another way.

    What is not here is as there: the test of the profile states the numbers.

    Args:
        size: the profile; None: ``paper``.
    """
    size = profile("paper") if size is None else size
    warmup = round(size.warmup * size.steps_taken)
    return [
        Deviation(
            "rows",
            "the first 512 tokens of each of 2,000,000, the rest unread; shorter ones padded",
            f"of a data set of the hub the first {size.window} tokens of each row, until {_of(size.rows)} rows "
            f"train; of files windows side by side; both in {_of(size.max_symbols)} letters; what fills no window "
            "is left out, so that there is no padding",
            "padding holds nothing to learn, and members agree about it; genomes have no rows",
        ),
        Deviation(
            "BPE",
            "4,096 entries, the five special ones among them; learned from all rows, of DNA too",
            f"bpe{4096 - len(SPECIAL)} has as many; learned from {_of(size.tokenizer_symbols)} letters of the "
            f"training part, and of DNA from {MOST_BASES:,} bases at most; white space is in no token, as there, "
            "and no bits are counted for it",
            "DNA has no words, so that its trainer holds every base that it learns from",
        ),
        Deviation(
            "special tokens",
            "<cls> and unknown ones are hidden and predicted in the analyses like others, in training not",
            "no window has any, so none is a target anywhere",
            "they say nothing about the corpus, and <cls> is known beforehand",
        ),
        Deviation(
            "6-mers",
            "4,105 entries: with <cls> in front, single bases where N or an end breaks the frame, and N",
            f"{PAPER_VOCABULARY:,} entries: all 6-mers and {len(SPECIAL)} special tokens; a stretch ends at N, "
            "and fewer than 6 bases at its end are left out",
            "every token is 6 bases, so that bits per token can be read as bits per base",
        ),
        Deviation(
            "split",
            "by place in the file: the first rows train, the next validate, the last test; nothing is shuffled or "
            "deduplicated",
            "by record or block, near-duplicates in one part, checked for leaks",
            "a test window that repeats a training window measures memory",
        ),
        Deviation(
            "masks at validation",
            "drawn anew every 1,000 steps, as in training, on 10,000 rows",
            "the same at every evaluation and for all members, all [MASK]: "
            f"{size.train_mask:.0%} of each of {size.validation_windows:,} windows",
            "steps and members are compared on the same tokens",
        ),
        Deviation(
            "the best weights",
            "of those that are saved, every 10,000 steps, though the loss is measured every 1,000",
            f"of all whose loss is measured, every {size.validation_every:,} steps and after the last",
            "no better weights are passed over",
        ),
        Deviation(
            "masks in the analyses",
            "each token by itself, 10% for distributions and 15% for the others",
            f"the same number in every window: {size.test_mask:.0%} of it for distributions and "
            f"{size.fisher_mask:.0%} for Fisher information (each token by itself for contextual embeddings)",
            "every window weighs the same in means and intervals",
        ),
        Deviation(
            "what is read at test",
            "as many of the last rows as the command says, 256 if it does not",
            f"{size.test_windows:,} windows for distributions and {size.fisher_windows:,} for Fisher information, "
            "spread evenly over the test part",
            "the last rows of a file may be of one kind",
        ),
        Deviation(
            "learning rate",
            "rises from 0 over 10,417 steps, so that the first step does nothing",
            f"one step ahead on the same ramp of {warmup:,} steps",
            "every step learns",
        ),
    ]


def _of(symbols: int | None) -> str:
    """How much of a corpus is read."""
    return "all" if symbols is None else f"{symbols:,}"
