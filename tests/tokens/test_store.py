import numpy as np
import pytest

from gfm_utils import corpora
from gfm_utils.errors import GfmError
from gfm_utils.tokens import prepare


@pytest.fixture
def store(shared, toy_fasta, smoke):
    return prepare(f"{toy_fasta}@kmer3", smoke, shared / "stores")


def test_tokens_are_those_of_the_split_and_windows_lie_side_by_side(store, toy_fasta, smoke):
    split = corpora.split(corpora.load(str(toy_fasta)), seed=42, max_symbols=smoke.max_symbols)
    for part, segments in split.parts().items():
        decoded = [store.tokenizer.decode(ids).replace(" ", "") for ids in store.segments(part)]
        assert decoded == [segment.text[: len(segment) // 3 * 3] for segment in segments]
        windows = store.windows(part, store.window_starts(part, 16), 16)
        expected = [ids[i : i + 16] for ids in store.segments(part) for i in range(0, len(ids) // 16 * 16, 16)]
        assert (windows == np.stack(expected)).all()  # none crosses a segment's end


def test_a_second_call_makes_nothing_but_whatever_matters_does(store, shared, toy_fasta, smoke, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}
    assert prepare(f"{toy_fasta}@kmer3", smoke, shared / "stores").path == store.path
    assert before == {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}
    other = tmp_path / toy_fasta.name
    other.write_text(toy_fasta.read_text().replace("ACGTA", "ACGTT", 1))
    paths = {
        store.path.name,
        prepare(f"{toy_fasta}@kmer3", smoke, tmp_path, seed=43).path.name,
        prepare(f"{toy_fasta}@kmer2", smoke, tmp_path).path.name,
        prepare(f"{other}@kmer3", smoke, tmp_path).path.name,
    }
    for change in ({"max_symbols": 90_000}, {"tokenizer_symbols": 1000}):
        paths.add(prepare(f"{toy_fasta}@kmer3", smoke.model_copy(update=change), tmp_path).path.name)
    assert len(paths) == 6


@pytest.mark.parametrize(
    ("records", "length", "message"),
    [(1, 6000, "corpus of .* is too short"), (600, 150, r"records of .* are too short \(50 tokens on average\)")],
)
def test_a_short_corpus_and_short_records_are_refused_and_leave_nothing(tmp_path, smoke, records, length, message):
    rng = np.random.default_rng(0)
    lines = (f">r{i}\n{''.join(rng.choice(list('ACGT'), length))}" for i in range(records))
    short = tmp_path / "short.fa"
    short.write_text("\n".join(lines) + "\n")
    with pytest.raises(GfmError, match=message):
        prepare(f"{short}@kmer3", smoke, tmp_path / "runs").window_starts("test", smoke.window)
    assert not list((tmp_path / "runs").rglob("*.tmp"))
