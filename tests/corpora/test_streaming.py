import io
from contextlib import contextmanager

import pytest

from gfm_utils.corpora import plan, readers, sequences
from gfm_utils.corpora.streaming import blocks

from .conftest import random_text


@pytest.mark.parametrize("name", ["x.txt", "x.csv"])
def test_text_is_cut_at_white_space(tmp_path, name):
    text = random_text(400)
    (tmp_path / name).write_text(("text\n" if name == "x.csv" else "") + text)
    cut = list(blocks(plan(str(tmp_path / name)), 100))
    assert "".join(block.text for block in cut) == text
    assert all(50 < len(block.text) <= 100 and block.text.endswith(" ") for block in cut[:-1])


def test_a_line_without_an_end_is_not_held(tmp_path, monkeypatch):
    """Bytes read and not given yet are fewer than one reading and one block, though the record is one line."""
    read = 0

    class Endless(io.RawIOBase):
        def read(self, size):
            nonlocal read
            read += size
            return (b">a\n" if read == size else b"ACG") + b"A" * (size - 3)

    @contextmanager
    def opened(_path, _form):
        yield Endless()

    (tmp_path / "x.fa").write_text(">a\nA\n")
    source = plan(str(tmp_path / "x.fa"))
    monkeypatch.setattr(readers, "opened", opened)
    monkeypatch.setattr(sequences, "READ", 1000)
    given = 0
    for count, block in enumerate(blocks(source, 300)):
        assert read - given <= 1000 + 3 * 300
        given += len(block.text)
        if count == 50:
            break
