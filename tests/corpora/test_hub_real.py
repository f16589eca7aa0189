"""The package `datasets` itself, where it is installed, on a stand-in for the hub."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from .conftest import random_dna
from .hubserver import COMMIT, Hub

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="datasets is not installed"),
]

ROWS = [{"title": f"r{number}", "seq": random_dna(200, number)} for number in range(900)]
#: Reads a corpus in a process of its own, as the address of the hub is read when its packages are imported.
READ = """
import json, sys, time
from gfm_utils import corpora
from gfm_utils.corpora import hub
from gfm_utils.errors import GfmError
hub.FILE_SYMBOLS = 5_000
time.sleep = lambda seconds: None  # half a minute, between all the attempts
for limit in json.loads(sys.argv[2]):
    try:
        corpus = corpora.load(sys.argv[1], max_symbols=limit)
        print(json.dumps([corpus.checksum, [[s.record, s.text] for s in corpus.segments]]))
    except GfmError as error:
        print(json.dumps(str(error)))
"""


def files(rows):
    table = io.BytesIO()
    pd.DataFrame(rows).to_parquet(table, row_group_size=100)
    parts = [rows[begin : begin + 300] for begin in range(0, len(rows), 300)]
    lines = ["".join(json.dumps(row) + "\n" for row in part).encode() for part in parts]
    return {
        "o/lines": {f"train-{number}.jsonl": data for number, data in enumerate(lines)},
        "o/table": {"train.parquet": table.getvalue()},
        "o/code": {"code.py": b"raise SystemExit('was run')", "README.md": b"---\n---\n"},
    }


@pytest.fixture
def served():
    server = Hub(files(ROWS))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def read(server, cache, source, *limits):
    """What a process says: checksum and records, or an error, for each limit."""
    home = {"HF_ENDPOINT": server.url, "HF_HOME": str(cache / "hf"), "GFM_CACHE": str(cache)}
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "5"}
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", READ, source, json.dumps(limits)], capture_output=True, text=True, check=False,
        timeout=240, env=os.environ | home | quiet | {"PYTHONPATH": paths}, cwd=cache,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def wanted(number):
    return [[row["title"], row["seq"]] for row in ROWS[:number]]


@pytest.mark.parametrize("name", ["lines", "table"])
def test_parts_continue_each_other_and_need_no_network_afterwards(served, cache, name):
    source = f"hf://datasets/o/{name}?field=seq&kind=dna"
    short, long = read(served, cache, source, 70_000, 170_000)
    assert (short[1], long[1]) == (wanted(350), wanted(850))
    asked = len(served.asked)
    assert read(served, cache, source, 70_000, 170_000) == [short, long] and len(served.asked) == asked
    assert all(COMMIT in path for method, path, _ in served.asked if "/resolve/" in path)
    assert read(served, cache, source, 1_000_000)[0][1] == wanted(900)


def test_a_stream_that_breaks_off_is_continued(served, cache):
    source = "hf://datasets/o/lines?field=seq&kind=dna"
    served.cuts = {"train-1.jsonl": 20_000}
    (sentence,) = read(served, cache, source, 170_000)
    assert "broke off after 300 records (" in sentence and sentence.endswith("it is continued there")
    served.cuts = {}
    served.asked.clear()
    assert read(served, cache, source, 170_000)[0][1] == wanted(850)


def test_what_the_hub_does_not_have(served, cache):
    for source, sentence in {
        "hf://datasets/o/none": "corpus 'o/none': the hub has no data set 'o/none' that you may read",
        "hf://datasets/o/lines?revision=v7": "the hub has no revision 'v7' of data set 'o/lines'; check the name",
        "hf://datasets/o/lines?split=nope": "Bad split: nope",
        "hf://datasets/o/lines/none-*.jsonl": "corpus 'o/lines/none-*.jsonl' could not be streamed from the hub (",
        "hf://datasets/o/lines": "corpus 'o/lines' has no field 'text'; it has title, seq",
        "hf://datasets/o/code": "corpus 'o/code' needs code of its own to be read, which is never run",
    }.items():
        assert sentence in read(served, cache, source, 100)[0]
