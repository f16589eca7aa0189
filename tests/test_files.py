import hashlib
import multiprocessing
import os
import time

import pytest

from gfm_utils import files
from gfm_utils.errors import Refused, unknown


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


def test_a_large_file_is_hashed_once_as_long_as_nothing_changes_it(tmp_path, monkeypatch):
    path, read = tmp_path / "a.fa", []
    monkeypatch.setattr(files, "_FRESH", 0)
    real = files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda one: read.append(one) or real(one))

    def found(content=None):
        if content is not None:
            path.write_bytes(content)
            os.utime(path, ns=(len(read), len(read)))
        assert files.sha256_once(path) == hashlib.sha256(path.read_bytes()).hexdigest()
        return len(read)

    assert [found(b"ACGT"), found(), found(b"ACGA"), found()] == [1, 1, 2, 2]
    other = tmp_path / "b.fa"  # another file of the same size and time in its place
    other.write_bytes(b"TTTT")
    os.utime(other, ns=(1, 1))
    other.replace(path)
    assert [found(), found()] == [3, 3]
    monkeypatch.setattr(files, "_FRESH", 10**18 * 9)  # what has just been written may change unseen
    assert [found(), found()] == [4, 5]


def test_a_folder_is_tried_and_left_as_it_was(tmp_path):
    files.check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "deep", "/proc/none"):
        with pytest.raises(Refused, match=r"cannot be written \("):
            files.check_writable(path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


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
