import multiprocessing
import time

import pytest

from gfm_utils import files
from gfm_utils.errors import unknown


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_directory_is_replaced_whole(tmp_path):
    path = tmp_path / "d"
    for content in ("one", "two"):
        with files.atomic(path) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert [p.name for p in path.iterdir()] == ["two"] and list(tmp_path.iterdir()) == [path]


def test_digest_ignores_the_order_of_keys_only():
    assert files.digest({"a": 1, "b": [1, 2]}) == files.digest({"b": [1, 2], "a": 1})
    assert files.digest({"a": 1, "b": [1, 2]}) != files.digest({"a": 1, "b": [2, 1]})


def _hold(path, order):
    with files.locked(path):
        order.put("in")
        time.sleep(0.3)
        order.put("out")


def test_a_lock_lets_one_process_in_at_a_time(tmp_path):
    context = multiprocessing.get_context("spawn")
    order = context.Queue()
    workers = [context.Process(target=_hold, args=(tmp_path / "x", order)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [order.get(timeout=5) for _ in range(4)] == ["in", "out", "in", "out"]


def test_unknown_names_suggest_the_closest():
    assert "did you mean 'quick'?" in str(unknown("profile", "quikc", ["quick", "smoke"]))
    assert "did you mean" not in str(unknown("profile", "zzz", ["quick", "smoke"]))
