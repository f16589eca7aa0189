import numpy as np
import pytest

from gfm_utils import corpora
from gfm_utils.errors import GfmError
from gfm_utils.tokens import PARTS, prepare


@pytest.fixture
def store(shared, toy_fasta, smoke):
    return prepare(f"{toy_fasta}@kmer3", smoke, shared / "stores")


def test_tokens_are_those_of_the_split(store, toy_fasta, smoke):
    split = corpora.split(corpora.load(str(toy_fasta)), seed=42, max_symbols=smoke.max_symbols)
    for part, segments in split.parts().items():
        decoded = [store.tokenizer.decode(ids).replace(" ", "") for ids in store.segments(part)]
        assert decoded == [segment.text[: len(segment) // 3 * 3] for segment in segments]


def test_windows_lie_side_by_side_and_cross_no_segment(store):
    for part in PARTS:
        starts = store.window_starts(part, 16)
        windows = store.windows(part, starts, 16)
        expected = [ids[i : i + 16] for ids in store.segments(part) for i in range(0, len(ids) // 16 * 16, 16)]
        assert (windows == np.stack(expected)).all()


def test_a_second_call_makes_nothing(store, shared, toy_fasta, smoke):
    before = {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}
    again = prepare(f"{toy_fasta}@kmer3", smoke, shared / "stores")
    assert again.path == store.path
    assert before == {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}


def test_whatever_matters_changes_the_directory(store, shared, toy_fasta, smoke, tmp_path):
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


def test_too_short_a_corpus_is_refused_and_leaves_nothing(tmp_path, smoke):
    short = tmp_path / "short.fa"
    short.write_text(">a\n" + "ACGTTGCA" * 4 + "\n")
    with pytest.raises(GfmError, match="short"):
        prepare(f"{short}@kmer3", smoke, tmp_path / "runs").window_starts("test", smoke.window)
    assert not list((tmp_path / "runs").rglob("*.tmp"))


def test_short_records_are_told_from_a_short_corpus(tmp_path, smoke):
    rng = np.random.default_rng(0)
    records = (f">r{i}\n{''.join(rng.choice(list('ACGT'), 150))}" for i in range(600))
    short = tmp_path / "reads.fa"
    short.write_text("\n".join(records) + "\n")
    with pytest.raises(GfmError, match=r"records of .* are too short \(50 tokens on average\)"):
        prepare(f"{short}@kmer3", smoke, tmp_path / "runs").window_starts("test", smoke.window)
