import json
import sys
import textwrap
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from gfm_utils import corpora
from gfm_utils.corpora import Segment, streaming
from gfm_utils.corpora.streaming import clean, summarised, survey
from gfm_utils.errors import GfmError
from gfm_utils.profiles import profile
from gfm_utils.tokens import PARTS, SPECIAL, encode, load_corpus, prepare, store
from gfm_utils.tokens import streaming as tokenizing
from gfm_utils.tokens.streaming import tokenize

BLOCK, GAP = 2_000, 200


def dna(length, seed=0):
    letters = np.frombuffer(b"ACGT", np.uint8)
    return np.random.default_rng([seed, length]).choice(letters, length).tobytes().decode()


def fasta(records):
    return "".join(f">{name}\n{textwrap.fill(sequence)}\n" for name, sequence in records.items())


@pytest.fixture(scope="module")
def genomes(tmp_path_factory):
    """Three files, one in a folder of its own: a chromosome of 60 blocks, and short records."""
    folder = tmp_path_factory.mktemp("genomes")
    (folder / "b").mkdir()
    (folder / "a.fa").write_text(fasta({"chr1": dna(59 * BLOCK + 700)}))
    (folder / "b" / "c.fna").write_text(
        fasta({f"r{i}": dna(600, i).lower() + "NN" + dna(300, i) for i in range(120)})
    )
    (folder / "d.fa").write_text(f">chr1\n{dna(20 * BLOCK)}\n")
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(streaming, "BLOCK", BLOCK)
    monkeypatch.setattr(streaming, "GAP", GAP)
    monkeypatch.setattr(tokenizing, "BATCH", 10_000)
    monkeypatch.setattr(tokenizing, "cores", lambda: 1)


def made(folder, out, name="kmer3", seed=42, workers=1, most=None):
    out.mkdir()
    size = profile("smoke").model_copy(update={"max_symbols": most, "tokenizer_symbols": 20_000})
    about = tokenize(out, name, corpora.plan(str(folder)), size, seed, workers)
    return about, {path.name: path.read_bytes() for path in out.glob("*.npy")}


def split_of(folder, seed=42):
    """What a survey gives, piece by piece: the segments of each part."""
    one_by_one = lambda blocks: ((block, *summarised([block], "dna", ())) for block in blocks)  # noqa: E731
    found = [[], [], []]
    for block in survey(corpora.plan(str(folder)), seed, None, one_by_one).pieces():
        found[block.part] += [(block.source, segment) for segment in clean(block, "dna", ())[0]]
    return found


def test_the_arrays_are_those_of_the_pieces(genomes, tmp_path):
    about, _ = made(genomes, tmp_path / "out", "bpe16")
    found = store.TokenStore(tmp_path / "out", about | {"kind": "dna"})
    for part, segments in zip(PARTS, split_of(genomes), strict=True):
        decoded = [found.tokenizer.decode(ids).replace(" ", "") for ids in found.segments(part)]
        assert decoded == [segment.text for _, segment in segments]
        assert about["parts"][part]["symbols"] == sum(map(len, decoded))
        assert about["parts"][part]["tokens"] == len(found.tokens(part)) == found.counts(part).sum()
    assert isinstance(found.tokens("train"), np.memmap)
    lost = about["streamed"]["symbols"] - sum(part["symbols"] for part in about["parts"].values())
    assert 0 <= lost < 80 * GAP  # between blocks of long records of other parts
    first, _ = made(genomes, tmp_path / "first", most=100_000)
    assert 100_000 <= first["streamed"]["symbols"] < 100_000 + BLOCK


def test_parts_have_their_shares_and_keep_their_distance(genomes):
    parts = split_of(genomes)
    symbols = [sum(len(segment) for _, segment in segments) for segments in parts]
    assert np.allclose(np.array(symbols) / sum(symbols), [0.8, 0.1, 0.1], atol=0.02)
    places = sorted(
        (source, segment.start, segment.start + len(segment), part)
        for part, segments in enumerate(parts)
        for source, segment in segments
        if segment.record == "chr1"
    )
    gaps = {
        (begin - end, part != next_part)
        for (source, _, end, part), (other, begin, _, next_part) in pairwise(places)
        if source == other
    }
    assert gaps == {(0, False), (GAP, True)}


def test_neither_batches_nor_processes_matter_but_the_seed_does(genomes, tmp_path, monkeypatch):
    _, one = made(genomes, tmp_path / "one")
    monkeypatch.setattr(tokenizing, "BATCH", 77_777)
    _, again = made(genomes, tmp_path / "again", workers=2)
    _, other = made(genomes, tmp_path / "other", seed=43)
    assert one == again and one != other


def test_duplicates_are_dropped_and_near_duplicates_stay_together(tmp_path, capsys):
    records = {f"r{i}": dna(900, i) for i in range(60)}
    changed = {f"{name}.2": text[:450] + dna(20) + text[470:] for name, text in records.items()}
    turned = str.maketrans("ACGT", "TGCA")
    reverse = {f"{name}.3": text.translate(turned)[::-1][100:] for name, text in records.items()}
    chromosome = dna(20 * BLOCK)
    (tmp_path / "in").mkdir()
    for name, content in {
        "1.fa": records | {"chr": chromosome}, "2.fa": changed | {"other": chromosome.lower()},
        "3.fa": reverse, "4.fa": dict(reversed(records.items())),
    }.items():  # fmt: skip
        (tmp_path / "in" / name).write_text(fasta(content))
    about, _ = made(tmp_path / "in", tmp_path / "out")
    assert about["streamed"]["dropped_duplicate"] == 60 + 20
    assert about["streamed"]["compared_share"] == 1
    assert "80 of 280 pieces are copies of an earlier one and were dropped" in capsys.readouterr().err
    part_of = {
        segment.record: part for part, segments in enumerate(split_of(tmp_path / "in")) for _, segment in segments
    }
    assert all(part_of[name] == part_of[f"{name}.2"] == part_of[f"{name}.3"] for name in records)
    assert {part_of[name] for name in records} == {0, 1, 2}


def test_no_more_is_held_than_some_batches(genomes, tmp_path, monkeypatch):
    """Symbols that were read and are not yet written are few, however many there are."""
    read = held = most = 0
    blocks, mapped = streaming.blocks, tokenizing._mapped

    def counted(*arguments):
        nonlocal read, held, most
        for block in blocks(*arguments):
            read, held = read + len(block.text), held + len(block.text)
            most = max(most, held)
            yield block

    def released(*arguments):
        nonlocal held
        for block, result in mapped(*arguments):
            yield block, result  # after it the block is counted, or its tokens are written
            held -= len(block.text)

    monkeypatch.setattr(streaming, "blocks", counted)
    monkeypatch.setattr(tokenizing, "_mapped", released)
    made(genomes, tmp_path / "out")
    assert read > 500_000  # twice
    assert held < 10_000  # gaps, N, ends of segments
    assert most < 10_000 + 3 * BLOCK + held


def test_short_records_are_split_as_in_memory(genomes, tmp_path):
    """Near-duplicates, chance order and shares alike; in memory what is long is cut into other blocks."""
    records = {f"r{i}": dna(700 + i, i) for i in range(150)}
    records |= {f"r{i}x": dna(100, 900 + i) + dna(700 + i, i)[200:500] for i in range(0, 150, 3)}
    records["r0"] = "E" + records["r0"]  # no nucleotide, and no protein for it
    (tmp_path / "x.fa").write_text(fasta(records))
    split = corpora.split(corpora.load(str(tmp_path / "x.fa")), seed=7)
    for part, segments in zip(split.parts().values(), split_of(tmp_path / "x.fa", seed=7), strict=True):
        assert [segment.text for _, segment in segments] == [segment.text for segment in part]


@pytest.mark.parametrize("kind", ["dna", "text"])
def test_what_is_seen_of_a_block_does_not_depend_on_those_beside_it(tmp_path, kind):
    if kind == "dna":
        (tmp_path / "x.fa").write_text(fasta({f"r{i}": dna(40 + 30 * i, i) + "N" + dna(90, i) for i in range(9)}))
    else:
        rows = [" ".join(f"w{word % 11}" for word in range(i, 5 * i)) for i in range(1, 12)]
        (tmp_path / "x.csv").write_text("text\n" + "\n".join(rows) + "\n")
    (path,) = tmp_path.iterdir()
    found = list(streaming.blocks(corpora.plan(str(path)), BLOCK))
    together = summarised(found, kind, ())
    alone = [one for block in found for one in summarised([block], kind, ())]
    for one, other in zip(together, alone, strict=True):
        assert (one.content, one.symbols) == (other.content, other.symbols)
        np.testing.assert_array_equal(one.minimizers, other.minimizers)
    assert sum(one.minimizers is not None and len(one.minimizers) > 2 for one in together) > 4


def test_damage_says_where_and_leaves_nothing(tmp_path, smoke, monkeypatch):
    monkeypatch.setattr(store, "LARGE", 1000)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.fa").write_text(fasta({"a": dna(5000)}))
    (folder / "2.fa").write_bytes(b">q\nACGT\n>p\nACGT\nAC\xffGT\n")
    (folder / "3.fa").write_text(fasta({"b": dna(5000, 1)}))
    message = r"2\.fa is not FASTA at line 5 of record 'p': expected [^\n]*$"
    with pytest.raises(GfmError, match=message):
        prepare(f"{folder}@kmer3", smoke, tmp_path / "runs")
    assert not [path for path in (tmp_path / "runs" / "tokens").iterdir() if path.suffix != ".lock"]


def test_prepare_streams_what_is_large(genomes, smoke, tmp_path, monkeypatch):
    condition = f"{genomes}@kmer3"
    loaded = prepare(condition, smoke, tmp_path)
    assert "streamed" not in loaded.about
    monkeypatch.setattr(store, "LARGE", 30_000)
    profile = smoke.model_copy(update={"max_symbols": None})
    found = prepare(condition, profile, tmp_path)
    assert found.path != loaded.path
    assert found.about["streamed"]["gap"] == GAP and found.about["unit"] == "base"
    assert len(found.window_starts("test", 64)) > 4
    monkeypatch.setattr(store, "tokenize", lambda *_: pytest.fail("made twice"))
    assert prepare(condition, profile, tmp_path).path == found.path
    assert load_corpus(str(genomes), profile).symbols == 30_000


def test_the_key_follows_names_and_contents_of_a_directory(tmp_path):
    def key():
        return corpora.plan(str(tmp_path)).key(None)

    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    keys = [key()]
    (tmp_path / "README.md").write_text("not part of it")
    assert key() == keys[0]
    (tmp_path / "b.fa").write_text(">a\nACGT\n")
    keys.append(key())
    (tmp_path / "b.fa").write_text(">a\nACGA\n")
    keys.append(key())
    (tmp_path / "b.fa").rename(tmp_path / "c.fa")
    assert len({*keys, key()}) == 4


@pytest.fixture
def hub_rows(tmp_path, monkeypatch):
    """A data set of the hub with 300 rows, one of them short, and what was done to have it."""
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(50)]
    rows = [{"text": " ".join(rng.choice(words, 200)) + " [MASK] schÃ¶n"} for _ in range(300)]
    rows[5] = {"text": "w1 " * 21 + "schÃ¶n"}
    calls = []

    def load_dataset(*_arguments, **_options):
        calls.append("streamed")
        return iter(rows)

    entry = {
        "kind": "text", "description": "d", "licence": "l", "citation": "c", "format": "text",
        "sources": [{"type": "hub", "dataset": "a/b"}],
    }  # fmt: skip
    (tmp_path / "corpora.yaml").write_text(yaml.safe_dump({"one": entry}))
    monkeypatch.setenv("GFM_REGISTRY", str(tmp_path / "corpora.yaml"))
    package = SimpleNamespace(load_dataset=load_dataset, config=SimpleNamespace(), __version__="5")
    monkeypatch.setitem(sys.modules, "datasets", package)
    monkeypatch.setattr("gfm_utils.corpora.hub._revision", lambda *_: "one")
    monkeypatch.setattr(store, "LARGE", 10_000)
    return rows, calls


def test_a_stream_of_the_hub(tmp_path, smoke, hub_rows):
    calls = hub_rows[1]
    profile = smoke.model_copy(update={"max_symbols": 100_000, "tokenizer_symbols": 5_000})
    found = prepare("one@bpe64", profile, tmp_path / "runs")
    assert calls == ["streamed"]  # no record twice, for the tokenizer and for the tokens
    about = json.loads((found.path / "store.json").read_text())
    # The stream itself is cut after so many symbols as they come, some of which cleaning takes away.
    assert 95_000 < about["streamed"]["symbols"] <= 100_000 + 1_000
    assert about["streamed"]["repaired_records"] == about["streamed"]["pieces"]
    text = found.tokenizer.decode(found.segments("train")[0])
    assert text.startswith("w") and text.endswith("[MASK] schön")
    assert found.tokens("train").min() >= len(SPECIAL)
    for part, sizes in about["parts"].items():
        assert found.token_lengths[found.tokens(part)].sum() == sizes["symbols"]


@pytest.mark.parametrize("text_symbols", ["bytes", "characters"])
def test_of_each_row_the_first_window_and_no_more_rows_than_are_wanted(
    tmp_path, smoke, hub_rows, text_symbols, capsys
):
    """As in the paper's code; a row that is too short is left out, and white space if words are cut by it."""
    texts = [row["text"].replace("Ã¶", "ö") for row in hub_rows[0]]
    changed = {"max_symbols": 200_000, "tokenizer_symbols": None, "text_symbols": text_symbols, "rows": 30}
    found = prepare("one@bpe59", smoke.model_copy(update=changed), tmp_path / "runs")
    assert found.vocabulary == 64  # the special tokens among them
    whole = encode(found.tokenizer, "bpe59", [Segment("a", 0, text) for text in texts], "text")
    expected = {tuple(ids[:64].tolist()): number for number, ids in enumerate(whole) if len(ids) >= 64}
    train = found.segments("train")
    numbers = [expected[tuple(ids.tolist())] for ids in train]
    assert len(train) == 30 and numbers == sorted(numbers) and 5 not in numbers
    assert len(found.window_starts("train", 64)) == 30
    assert found.about["parts"]["train"]["symbols"] == sum(found.token_lengths[ids].sum() for ids in train)
    assert "rows of 64 tokens train" not in capsys.readouterr().err
    letters = "".join(texts[numbers[0]].split()) if text_symbols == "characters" else texts[numbers[0]]
    assert letters.startswith(found.tokenizer.decode(train[0]).strip("�"))
    more = smoke.model_copy(update=changed | {"rows": 400})
    assert len(prepare("one@bpe59", more, tmp_path / "runs").segments("train")) > 30
    assert "where 400 are wanted" in capsys.readouterr().err
    plain = smoke.model_copy(update={"max_symbols": 200_000, "tokenizer_symbols": 5_000})
    assert not {"rows", "text_symbols"} & set(prepare("one@bpe59", plain, tmp_path / "runs").about["key"])
