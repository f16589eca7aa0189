"""What training at the paper's size costs, and where the profile ``paper`` is not what the paper's code does."""

from collections.abc import Sequence

import pandas as pd

from gfm_utils import tables
from gfm_utils.ensembles import Cost, duration, expected_cost
from gfm_utils.measures.rows import Row
from gfm_utils.profiles import profile
from gfm_utils.tokens import SPECIAL
from gfm_utils.tokens.tokenizers import MOST_BASES

GIB = 2**30
#: The paper's vocabulary: 4^6 tokens and the special ones.
PAPER_VOCABULARY = 4**6 + len(SPECIAL)
#: Devices among which the paper's cost is shared out in the chapter.
CLUSTER = 5


def paper_costs() -> list[Cost]:
    """What one condition of random tokens costs at the paper's size, measured here for some seconds."""
    return [expected_cost("paper", PAPER_VOCABULARY, CLUSTER)]


def cost_table(costs: Sequence[Cost]) -> pd.DataFrame:
    """Result table of expected costs.

    Metrics: ``training_time`` (s, axis ``devices``: number of devices), ``device_time`` (h, all devices added
    up), ``device_memory`` (bytes of one member in training, axis ``source``: ``measured`` or ``estimated``)
    and ``disk`` (bytes); ``n`` is the number of members that are not trained yet.
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
    """The same for people: one row a condition, all for the same number of devices, with units in the cells."""
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


#: What is kept although the paper's code (github.com/lbcb-sci/GFMs) does it in another way: what, how there, how
#: the profile ``paper`` does it (with numbers of the profile), and why. What is not here is as there.
DEVIATIONS = (
    (
        "rows",
        "the first 512 tokens of each of 2,000,000, the rest unread; shorter ones padded",
        "of a data set of the hub the first {size.window} tokens of each row, until {rows} rows train; of files "
        "windows side by side; both in {letters} letters; what fills no window is left out, so that there is no "
        "padding",
        "padding holds nothing to learn, and members agree about it; genomes have no rows",
    ),
    (
        "BPE",
        "4,096 entries, the five special ones among them; learned from all rows, of DNA too",
        "bpe{bpe} has as many; learned from {learned} letters of the training part, and of DNA from {bases:,} "
        "bases at most; white space is in no token, as there, and no bits are counted for it",
        "DNA has no words, so that its trainer holds every base that it learns from",
    ),
    (
        "special tokens",
        "<cls> and unknown ones are hidden and predicted in the analyses like others, in training not",
        "no window has any, so none is a target anywhere",
        "they say nothing about the corpus, and <cls> is known beforehand",
    ),
    (
        "6-mers",
        "4,105 entries: with <cls> in front, single bases where N or an end breaks the frame, and N",
        "{vocabulary:,} entries: all 6-mers and {special} special tokens; a stretch ends at N, and fewer than 6 "
        "bases at its end are left out",
        "every token is 6 bases, so that bits per token can be read as bits per base",
    ),
    (
        "split",
        "by place in the file: the first rows train, the next validate, the last test; nothing is shuffled or "
        "deduplicated",
        "by record or block, near-duplicates in one part, checked for leaks",
        "a test window that repeats a training window measures memory",
    ),
    (
        "masks at validation",
        "drawn anew every 1,000 steps, as in training, on 10,000 rows",
        "the same at every evaluation and for all members, all [MASK]: {size.train_mask:.0%} of each of "
        "{size.validation_windows:,} windows",
        "steps and members are compared on the same tokens",
    ),
    (
        "the best weights",
        "of those that are saved, every 10,000 steps, though the loss is measured every 1,000",
        "of all whose loss is measured, every {size.validation_every:,} steps and after the last",
        "no better weights are passed over",
    ),
    (
        "masks in the analyses",
        "each token by itself, 10% for distributions and 15% for the others",
        "the same number in every window: {size.test_mask:.0%} of it for distributions and {size.fisher_mask:.0%} "
        "for Fisher information (each token by itself for contextual embeddings)",
        "every window weighs the same in means and intervals",
    ),
    (
        "what is read at test",
        "as many of the last rows as the command says, 256 if it does not",
        "{size.test_windows:,} windows for distributions and {size.fisher_windows:,} for Fisher information, "
        "spread evenly over the test part",
        "the last rows of a file may be of one kind",
    ),
    (
        "learning rate",
        "rises from 0 over 10,417 steps, so that the first step does nothing",
        "one step ahead on the same ramp of {warmup:,} steps",
        "every step learns",
    ),
)


def deviations() -> pd.DataFrame:
    """``DEVIATIONS`` with the numbers of the profile: ``what``, ``paper``, ``here`` and ``why``, a row each."""
    size = profile("paper")
    rows, letters, learned = (
        "all" if number is None else f"{number:,}"
        for number in (size.rows, size.max_symbols, size.tokenizer_symbols)
    )
    numbers = {
        "size": size, "rows": rows, "letters": letters, "learned": learned, "bpe": 4096 - len(SPECIAL),
        "bases": MOST_BASES, "vocabulary": PAPER_VOCABULARY, "special": len(SPECIAL),
        "warmup": round(size.warmup * size.steps_taken),
    }  # fmt: skip
    table = pd.DataFrame(DEVIATIONS, columns=["what", "paper", "here", "why"])
    return table.assign(here=[here.format(**numbers) for here in table["here"]])
