"""Tokenizing a directory of FASTA larger than what memory should hold: ours against Hugging Face datasets.

- ``data:tokens-per-second``: tokens a second from the files to token arrays on disk.
- ``data:peak-memory``: largest memory of the process and its children together, in MB of proportional set size
  (a page that several share counts once), sampled 20 times a second.

Making the tokenizer is part of the work, and for BPE of the time.
The peer is ``Dataset.from_generator`` and ``map`` (batched, in as many processes) with the same kind of tokenizer
on the same records, long ones in blocks of 100,000 bases, and gives ids on disk. It neither cleans, splits nor
looks for duplicates.
The package ``datasets`` is installed by pip into a temporary folder where it is missing.
The files are random DNA, made anew in a temporary folder: half of each is one chromosome, half records of 3 kb.
A ratio above 1 is in our favour.
"""

import importlib.util
import math
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import common
import numpy as np
import psutil

from gfm_utils import corpora
from gfm_utils.profiles import profile
from gfm_utils.tokens import train_tokenizer
from gfm_utils.tokens.streaming import tokenize

SPEED, MEMORY = TASKS = ("data:tokens-per-second", "data:peak-memory")
RECORD, LINE, BLOCK = 3_000, 80, 100_000
LEARNED = 2_000_000  # bases that BPE learns from
#: What datasets needs beyond our own requirements.
NEEDED = ("datasets", "dill", "multiprocess", "xxhash")


def make(folder: Path, bases: int, files: int) -> None:
    """Random DNA, about so many bases in so many files."""
    rng = np.random.default_rng(0)

    def write(handle: Any, name: str, length: int) -> None:
        handle.write(f">{name}\n".encode())
        for begin in range(0, length, 12_500 * LINE):
            rows = rng.integers(0, 4, (min(length - begin, 12_500 * LINE) // LINE, LINE), dtype=np.uint8)
            lines = np.full((len(rows), LINE + 1), ord("\n"), np.uint8)
            lines[:, :LINE] = np.frombuffer(b"ACGT", np.uint8)[rows]
            handle.write(lines.tobytes())

    for number in range(files):
        with open(folder / f"{number:03}.fa", "wb") as handle:
            write(handle, f"chr{number}", bases // files // 2)
            for record in range(bases // files // 2 // RECORD):
                write(handle, f"r{record}", RECORD // LINE * LINE)


def ours(folder: str, out: str, tokenizer: str, workers: int) -> int:
    """Tokens written."""
    size = profile("quick").model_copy(update={"max_symbols": None, "tokenizer_symbols": LEARNED})
    made = tokenize(Path(out), tokenizer, corpora.plan(folder), size, 42, workers=workers)
    return sum(part["tokens"] for part in made["parts"].values())


def records(folder: str, size: int) -> Iterator[dict[str, str]]:
    """The records that the peer reads."""
    from gfm_utils import corpora
    from gfm_utils.corpora.streaming import blocks

    for block in blocks(corpora.plan(folder), size):
        yield {"text": block.text}


def encode(batch: dict[str, list[str]], tokenizer: Any) -> dict[str, list[Any]]:
    """What the peer maps."""
    import numpy

    ids = tokenizer(batch["text"], add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return {"ids": [numpy.asarray(row, numpy.uint16) for row in ids], "length": [len(row) for row in ids]}


def theirs(folder: str, out: str, tokenizer: str, workers: int) -> int:
    """Tokens in the data set."""
    import datasets

    sample: list[corpora.Segment] = []
    if tokenizer.startswith("bpe"):
        for record in records(folder, BLOCK):
            sample.append(corpora.Segment("", 0, record["text"]))
            if sum(map(len, sample)) >= LEARNED:
                break
    fast = train_tokenizer(tokenizer, sample, "dna", LEARNED, 42)
    datasets.disable_progress_bars()
    found = datasets.Dataset.from_generator(records, cache_dir=out, gen_kwargs={"folder": folder, "size": BLOCK})
    found = found.map(
        encode, batched=True, batch_size=100, num_proc=workers, remove_columns=["text"],
        fn_kwargs={"tokenizer": fast},
    )  # fmt: skip
    return int(np.sum(found["length"]))


def measured(run: Callable[..., int], *arguments: Any) -> tuple[int, float, float]:
    """Tokens, seconds and peak memory in MB of a function in a process of its own; starting it is not counted."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_run, args=(there, run, sys.path, arguments))
    child.start()
    there.close()
    here.recv()
    began, peak, done = time.perf_counter(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            total = 0
            family = psutil.Process(child.pid)
            for process in [family, *family.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            peak = max(peak, total / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    here.send(None)
    try:
        tokens = here.recv()
        seconds = time.perf_counter() - began
    finally:
        done.set()
        watcher.join()
        child.join()
    return tokens, seconds, peak


def _run(pipe: Any, run: Callable[..., int], path: list[str], arguments: tuple[Any, ...]) -> None:
    sys.path[:] = path
    pipe.send(None)
    pipe.recv()
    pipe.send(run(*arguments))


def main() -> None:
    parser = common.parser(__doc__, TASKS)
    parser.add_argument("--tokenizer", default="kmer6", help="kmer<k> or bpe<V>")
    parser.add_argument("--bases", type=int, default=60_000_000, help="of DNA that is made")
    parser.add_argument("--files", type=int, default=6, help="that it is made in")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    options = parser.parse_args()
    tasks = common.chosen(parser, options, TASKS)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gfm-tokenising-") as name:
        scratch = Path(name)
        for part in ("fasta", "ours", "theirs"):
            (scratch / part).mkdir()
        make(scratch / "fasta", options.bases, options.files)
        fasta = str(scratch / "fasta")
        tokens, seconds, peak = measured(ours, fasta, str(scratch / "ours"), options.tokenizer, options.workers)
        peer, speed, memory = "none", math.nan, math.nan
        if not options.no_peer:
            if importlib.util.find_spec("datasets") is None:
                command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", f"{scratch}/pip"]
                subprocess.run([*command, *NEEDED], check=True, stdout=subprocess.DEVNULL)
                sys.path.append(f"{scratch}/pip")
            found, other, memory = measured(
                theirs, fasta, str(scratch / "theirs"), options.tokenizer, options.workers
            )
            speed = found / other
            peer = f"datasets, map, {options.workers} processes"
    case = f"{options.tokenizer}, {tokens:,} tokens of {options.bases:,} bases"
    rows = [
        common.row(SPEED, case, peer, tokens / seconds, speed, "tokens/s", more_is_better=True),
        common.row(MEMORY, case, peer, peak, memory, "MB", more_is_better=False),
    ]
    configuration = {name: value for name, value in vars(options).items() if name not in ("json", "out")}
    common.report([row for row in rows if row["task"] in tasks], options, configuration, started)


if __name__ == "__main__":
    main()
