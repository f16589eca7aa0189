"""Models that other code saved: plain ``save_pretrained``, with and without a tokenizer beside them."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.spatial
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    FunnelConfig,
    FunnelForMaskedLM,
    PreTrainedTokenizerFast,
    set_seed,
)

from gfm_utils.claims import analyse_models, checkpoints
from gfm_utils.claims.checkpoints import ANALYSES
from gfm_utils.corpora import Corpus, Segment, load
from gfm_utils.errors import GfmError
from gfm_utils.measures.geometry import procrustes
from gfm_utils.measures.pretrained import members_of
from gfm_utils.measures.reading import read
from gfm_utils.tables import COLUMNS
from gfm_utils.tokens import SPECIAL

SHAPE = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
SMALL = {"windows": 6, "window": 16}
#: Chapters of what needs no annotation.
PLAIN = {analysis.chapter for analysis in ANALYSES.values() if "annotation" not in analysis.needs}


def save_model(path, vocabulary=64, layers=2, seed=0, **options):
    set_seed(seed)
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id"), 0)
    options = {**SHAPE, "num_hidden_layers": layers, **special, **options}
    BertForMaskedLM(BertConfig(vocab_size=vocabulary, **options)).save_pretrained(path)
    return str(path)


def word_pieces(corpus):
    """A lower-casing WordPiece tokenizer, as BERT's: whole words of the corpus, else letters."""
    letters = sorted({letter for segment in corpus.segments for letter in segment.text.lower() if letter != " "})
    words = sorted({word for segment in corpus.segments for word in segment.text.lower().split()})[:40]
    vocabulary = dict.fromkeys([*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words])
    made = Tokenizer(models.WordPiece({word: place for place, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    roles = {token[1:-1].lower() + "_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=made, **roles)


def save_members(folder, tokenizer, count=3, padding=0, **options):
    paths = [
        save_model(folder / f"bert-{seed}", len(tokenizer) + padding, seed=seed, **options)
        for seed in range(count)
    ]
    for path in paths:
        tokenizer.save_pretrained(path)
    return paths


def of_member(table, metric, member, x=None):
    """The value of a member, whatever its unit but one of symbols, and of no axis but at ``x``."""
    rows = table[(table["metric"] == metric) & (table["member"] == member)]
    rows = rows[~rows["unit"].isin(["bits/base", "bits/character"])]
    return rows[rows["axis"].isna() if x is None else rows["x"] == x]["value"].item()


@pytest.fixture(scope="module")
def corpus(toy_text):
    return load(str(toy_text))


@pytest.fixture(scope="module")
def berts(tmp_path_factory, corpus):
    return save_members(tmp_path_factory.mktemp("berts"), word_pieces(corpus), padding=7)


@pytest.fixture(scope="module")
def tables_of_berts(berts, corpus):
    return analyse_models(berts, corpus, windows=32).tables


def test_plain_berts_have_the_metrics_of_our_ensembles(tables_of_berts, corpus, trained, measured):
    chapters = ("predictions", "disagreement", "static_embeddings", "contextual_embeddings")
    ours = {name: measured(name) for name in chapters}
    ours = {name: table[table["condition"] == trained[0].condition] for name, table in ours.items()}
    fisher = {"fisher_trace", "fisher_share"}  # of the chapter's forms the first, for people's own models
    assert set(tables_of_berts) == {*ours, "fisher"}
    for name, table in tables_of_berts.items():
        assert set(table["condition"]) == {f"{corpus.name}@bert-0"}
        assert set(table["state"].dropna()) == {"trained"}
        assert set(table["member"].dropna()) <= {1, 2, 3} and table["value"].notna().all()
        expected = set(ours[name]["metric"]) if name in ours else fisher
        expected = expected - {"symbols_per_token", "window_code_nll"}  # of our stores
        assert set(table["metric"]) == {metric for metric in expected if "ngram" not in metric}


def test_one_model_has_predictions_and_fisher_information_without_intervals(berts, corpus):
    one = analyse_models(berts[:1], corpus, windows=8).tables
    assert set(one) == {"predictions", "fisher"}
    means = one["fisher"][one["fisher"]["member"].isna()]
    assert means["low"].isna().all() and means["value"].notna().all()


def test_static_numbers_without_corpus_and_tokenizer(tmp_path):
    paths = [save_model(tmp_path / f"{seed}", seed=seed) for seed in (1, 2)]
    found = analyse_models(paths).tables
    assert set(found) == {"static_embeddings"}
    table = found["static_embeddings"]
    first, second = (
        BertForMaskedLM.from_pretrained(path).bert.embeddings.word_embeddings.weight.detach().double().numpy()
        for path in paths
    )
    row = table[(table["metric"] == "procrustes_disparity") & (table["member"] == 1)].iloc[0]
    assert row["value"] == pytest.approx(procrustes(first, second)[0], abs=1e-9)
    assert row["n"] == 64


def test_our_ensemble_is_its_members(trained, measured):
    folder = trained[0].members[0].path.parent
    assert members_of([str(folder)]) == [str(member.path) for member in trained[0].members]
    corpus = load(trained[0].condition.rpartition("@")[0])
    table = analyse_models([str(folder)], corpus, only=["static"], windows=32).tables["static_embeddings"]
    own = measured("static_embeddings")
    own = own[own["condition"] == trained[0].condition]
    ours, theirs = (
        rows[(rows["metric"] == "linear_cka") & rows["axis"].isna() & (rows["state"] == "trained")]["value"]
        for rows in (table, own)
    )
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), atol=0.05)


def test_what_cannot_be_compared_is_one_sentence(berts, corpus, trained, tmp_path):
    pieces = word_pieces(corpus)
    deep = save_members(tmp_path / "deep", pieces, count=1, padding=7, layers=3)[0]
    broken = save_members(tmp_path / "broken", pieces, count=1, padding=7)[0]
    spoiled = load_file(f"{broken}/model.safetensors")
    spoiled["bert.embeddings.word_embeddings.weight"][3] = float("nan")
    save_file(spoiled, f"{broken}/model.safetensors", metadata={"format": "pt"})
    other = save_members(tmp_path / "other", trained[0].store.tokenizer, count=1)[0]
    mute = save_members(tmp_path / "mute", pieces, count=2, padding=7)
    small = save_members(tmp_path / "small", pieces, count=2, padding=-20)
    pieces.mask_token = None
    for path in mute:
        pieces.save_pretrained(path)
    dna = save_members(tmp_path / "dna", trained[1].store.tokenizer, count=2)
    for arguments, message in (
        ({"names": berts[:1], "corpus": corpus, "only": ["disagreement"]}, "nothing to be compared with"),
        ({"names": berts[:1]}, "nothing to be compared with"),
        ({"names": berts, "only": ["predictions"]}, "needs something to read"),
        ({"names": berts, "only": ["fischer"]}, "unknown analysis"),
        ({"names": [*berts, save_model(tmp_path / "wide", 999)], "corpus": corpus}, "share a vocabulary"),
        ({"names": [berts[0], other], "corpus": corpus}, "another tokenizer"),
        ({"names": [*berts, deep], "corpus": corpus, "only": ["contextual"]}, r"layers \(2, 2, 2, 3\)"),
        ({"names": [*berts, broken], "corpus": corpus}, r"broken/bert-0 has NaN or infinite numbers .* \(16,"),
        ({"names": [str(tmp_path / "wide")] * 2, "corpus": corpus}, "no tokenizer"),
        ({"names": berts, "corpus": corpus, "window": 10**6}, "windows of 1000000 tokens"),
        ({"names": berts, "corpus": corpus, "window": 600}, "cannot read windows of 600 tokens"),
        ({"names": mute, "corpus": corpus, "only": ["predictions"]}, "no mask token"),
        ({"names": dna, "corpus": corpus}, "the tokenizer knows 0% of the tokens"),
        ({"names": berts, "corpus": corpus, "special_tokens": "all"}, "unknown way to treat special tokens 'all'"),
        ({"names": small, "corpus": corpus}, r"the tokenizer has tokens that .* lacks"),
    ):
        with pytest.raises(GfmError, match=message) as caught:
            analyse_models(**arguments)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def letters():
    """Single bases, with ``[CLS]`` in front and ``[SEP]`` behind."""
    vocabulary = {word: place for place, word in enumerate([*SPECIAL, *"ACGT"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    roles = {token[1:-1].lower() + "_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=made, **roles)


@pytest.fixture(scope="module")
def bases():
    """A corpus of 2,000 random bases."""
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 2000))
    return Corpus("bases", "dna", [Segment("0", 0, text)], "checksum", "", "", "here")


def test_members_of_other_widths_and_depths_are_compared(letters, bases, tmp_path):
    """A narrow one, one with a layer more, and one that is wide and untied."""
    narrow = save_members(tmp_path, letters, count=1, layers=1)[0]
    deep = save_members(tmp_path / "deep", letters, count=1)[0]
    shape = {"layers": 1, "hidden_size": 24, "num_attention_heads": 3, "tie_word_embeddings": False}
    wide = save_members(tmp_path / "wide", letters, count=1, **shape)[0]
    found = analyse_models([narrow, deep, wide], bases, **SMALL)
    assert set(found.failed) == {"contextual"} and "layers (1, 2, 1)" in found.failed["contextual"]
    assert set(found.tables) == {"predictions", "disagreement", "static_embeddings", "fisher"}
    assert all(table["value"].notna().all() for table in found.tables.values())
    first, second = (
        load_file(f"{path}/model.safetensors")["bert.embeddings.word_embeddings.weight"].double().numpy()[-4:]
        for path in (narrow, wide)
    )
    expected = scipy.spatial.procrustes(np.pad(first, ((0, 0), (0, 8))), second)[2]
    table = found.tables["static_embeddings"]
    pair = table[(table["member"] == 1) & (table["other"] == 3) & table["axis"].isna()].set_index("metric")
    assert pair.loc["procrustes_disparity", "value"] == pytest.approx(expected, abs=1e-12)
    fisher = found.tables["fisher"]
    groups = fisher[(fisher["metric"] == "fisher_share") & (fisher["axis"] == "group")]
    having = {x: set(rows["member"].dropna()) for x, rows in groups.groupby("x")}
    assert having["encoder.0"] == having["decoder.weight"] == {1, 2, 3} and having["encoder.1"] == {2}
    assert having["decoder.cross"] == {1, 2}  # of a tied matrix alone


def test_predictions_are_over_the_tokenizers_tokens_and_special_ones_are_read_and_not_counted(
    letters, bases, tmp_path
):
    """What a model with seven entries too many says with ``[CLS]`` and ``[SEP]``, against its own code."""
    path = save_members(tmp_path, letters, count=2, padding=7)[1]
    model = BertForMaskedLM.from_pretrained(path).eval()
    reading = read(bases, letters, 16, 6)
    hidden = reading.hidden(0.15, 42)
    assert hidden.shown.shape == (6, 16) and (hidden.shown[:, [0, -1]] == [2, 3]).all()
    with torch.no_grad():
        whole = model.bert(torch.tensor(reading.shown)).last_hidden_state[:, 1:-1].double()
        logits = model(torch.tensor(hidden.shown)).logits.double()[..., : len(letters)]
    picked = np.take_along_axis(logits.log_softmax(-1).numpy(), hidden.positions[..., None], 1) / np.log(2)
    nll = -np.take_along_axis(picked, hidden.targets[..., None], 2).mean()
    entropy = -(np.exp2(picked) * picked).sum(-1).mean()
    given = {**SMALL, "only": ["predictions", "contextual"]}
    found = analyse_models([path, path], bases, **given).tables
    predictions, layers = found["predictions"], found["contextual_embeddings"]
    for metric, expected in (("nll", nll), ("output_entropy", entropy)):
        assert of_member(predictions, metric, 1) == pytest.approx(expected, abs=1e-6)
    assert of_member(predictions, "kl_from_uniform", 1) == pytest.approx(np.log2(len(letters)) - entropy)
    unit = whole.flatten(0, 1) / whole.flatten(0, 1).norm(dim=1, keepdim=True)
    expected = float((len(unit) * unit.mean(0).square().sum() - 1) / (len(unit) - 1))  # over different tokens
    assert of_member(layers, "anisotropy", 1, "encoder.1") == pytest.approx(expected, abs=1e-6)
    assert layers.loc[layers["metric"] == "anisotropy", "n"].max() == 6 * 14
    bare = analyse_models([path, path], bases, **given, special_tokens="none").tables["predictions"]
    assert of_member(bare, "nll", 1) != pytest.approx(nll, abs=1e-6)
    assert set(bare.loc[bare["metric"] == "unigram_nll", "n"]) == {hidden.targets.size}


def test_members_with_the_papers_tokenizers_are_read_as_they_are(six_mers, byte_pairs, tmp_path):
    """Its DNA members: 4,105 entries, each input led by ``<cls>``; its text members: nothing around a text."""
    rng = np.random.default_rng(0)
    text = " ".join(rng.choice(["some", "words", "of", "a", "text", "<MASK>", ",", "more"], 3000))
    dna = "".join(rng.choice(list("ACGT"), 6 * 15 * 12 + 4))  # 4 bases are left at the end
    for kind, symbol, letters_, tokenizer in (
        ("dna", "base", dna, six_mers), ("text", "character", text, byte_pairs(text)),
    ):  # fmt: skip
        corpus = Corpus(kind, kind, [Segment("0", 0, letters_)], "checksum", "", "", "here")
        paths = save_members(tmp_path / kind, tokenizer, count=2, layers=1)
        found = analyse_models(paths, corpus, **SMALL)
        assert not found.failed and set(found.tables) == PLAIN
        reading = read(corpus, tokenizer, 16, 6)
        hidden = reading.hidden(0.15, 42)
        assert (hidden.shown == tokenizer.mask_token_id).sum() == hidden.targets.size
        assert not np.isin(hidden.targets, tokenizer.all_special_ids).any()
        lengths = np.take_along_axis(reading.windows["length"], hidden.positions - len(reading.before), 1)
        table = found.tables["predictions"]
        table = table[(table["metric"] == "nll") & table["axis"].isna() & (table["member"] == 1)]
        nll = table.set_index("unit")["value"]
        assert nll[f"bits/{symbol}"] == pytest.approx(nll["bits/token"] / lengths.mean())


def test_hidden_states_of_other_places_than_the_tokens_are_refused(letters, bases, tmp_path):
    """Funnel's deeper layers have half the places."""
    shape = {"d_model": 16, "d_head": 8, "n_head": 2, "d_inner": 16, "num_decoder_layers": 1}
    config = FunnelConfig(vocab_size=len(letters), block_sizes=[1, 1], **shape)
    for seed in (0, 1):
        set_seed(seed)
        FunnelForMaskedLM(config).save_pretrained(tmp_path / f"{seed}")
        letters.save_pretrained(tmp_path / f"{seed}")
    paths = [str(tmp_path / f"{seed}") for seed in (0, 1)]
    found = analyse_models(paths, bases, only=["contextual", "static"], **SMALL)
    assert "layers of 8 places for windows of 14 tokens" in found.failed["contextual"] and len(found.tables) == 1


def test_a_special_token_that_models_lack_is_refused(bases, six_mers, tmp_path):
    """An end of a sentence that the tokenizer adds by itself, beyond the models' vocabulary."""
    paths = save_members(tmp_path, six_mers, count=2, layers=1)
    six_mers.add_special_tokens({"eos_token": "<eos>"})
    for path in paths:
        six_mers.save_pretrained(path)
    with pytest.raises(GfmError, match=r"lacks \(4105\): .* or --special-tokens none, for it stands around"):
        analyse_models(paths, bases, **SMALL)
    assert not analyse_models(paths, bases, **SMALL, special_tokens="none").failed


def test_an_analysis_that_fails_takes_no_other_with_it(letters, bases, tmp_path, monkeypatch):
    paths = save_members(tmp_path, letters, count=2, layers=1)
    whole = analyse_models(paths, bases, **SMALL)
    assert not whole.failed and set(whole.tables) == PLAIN

    def broken(*arguments):
        raise RuntimeError("no such thing\nat line 3")

    monkeypatch.setattr(checkpoints, "member_layer_rows", broken)
    found = analyse_models(paths, bases, **SMALL)
    reason = "it does not work on models of this kind (RuntimeError: no such thing)"
    assert found.failed == {"contextual": reason}
    assert set(found.tables) == set(whole.tables) - {"contextual_embeddings"}
    for name, table in found.tables.items():
        pd.testing.assert_frame_equal(table, whole.tables[name])
    with pytest.raises(GfmError) as caught:
        analyse_models(paths, bases, only=["contextual"], **SMALL)
    assert str(caught.value) == f"contextual: {reason}"


def test_random_numbers_that_models_draw_are_seeded(letters, bases, tmp_path, monkeypatch):
    paths = save_members(tmp_path, letters, count=1, layers=1)

    def noise(of):
        yield {"condition": "noise", "metric": "noise", "unit": "1", "value": float(torch.rand(()))}

    monkeypatch.setitem(ANALYSES, "noise", checkpoints.Analysis("noise", noise))
    before = torch.get_rng_state()
    first, second, other = (
        analyse_models(paths, bases, only=["noise"], **SMALL, seed=seed).tables["noise"]["value"]
        for seed in (1, 1, 2)
    )
    assert first.equals(second) and (first != other).all()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_command_writes_a_table_a_chapter_and_says_which_analysis_failed(letters, bases, tmp_path, gfm):
    (tmp_path / "bases.fa").write_text(f">a\n{bases.segments[0].text}")
    paths = [save_members(tmp_path / f"{layers}", letters, count=1, layers=layers)[0] for layers in (1, 2)]
    out, sizes = tmp_path / "out", ["--windows", 6, "--window", 16]
    chosen = ["--only", "static", "--only", "contextual", "--special-tokens", "none", "--json"]
    given = ["--corpus", tmp_path / "bases.fa", "--out", out, *sizes, *chosen]
    status, printed, err = gfm("analyse", *paths, *given)
    *rows, last = json.loads(printed)
    reason = (
        "the models have different numbers of layers (1, 2), of which none can be compared with another: name "
        "models of one depth"
    )
    assert status == 1 and all(set(row) == set(COLUMNS) for row in rows)
    assert "procrustes_disparity" in {row["metric"] for row in rows} and "No untrained members" in err
    assert last == {**dict.fromkeys(COLUMNS), "analysis": "contextual", "error": reason}
    sentence = f"gfm: 1 of 2 analyses failed, the others are done; contextual: {reason}"
    assert err.splitlines()[-1] == sentence
    assert [path.name for path in out.glob("*.parquet")] == ["static_embeddings.parquet"]
    about = json.loads((out / "provenance.json").read_text())["configuration"]
    assert about["failed"] == {"contextual": reason} and about["special_tokens"] == "none"
    assert about["models"] == paths
    assert f"<strong>Not done: contextual.</strong> {reason}" in (out / "report.html").read_text()


def test_tasks_of_a_genome_with_its_genes(letters, planted, tmp_path, gfm):
    """One model: probes beside counting, of every task; without labels, or with those of another genome, none."""
    path, out = save_members(tmp_path, letters, count=1, layers=1)[0], tmp_path / "out"
    given = ["--corpus", planted.fasta, "--only", "tasks", "--windows", 8, "--window", 32, "--json"]
    status, printed, _ = gfm("analyse", path, *given, "--annotation", planted.gff, "--out", out)
    rows = pd.DataFrame(json.loads(printed))
    area = rows[(rows["metric"] == "probe_auc") & (rows["axis"] == "task")]
    assert status == 0 and set(area["x"]) == {
        "coding", "coding or intron", "intron", "donor", "acceptor", "start",
    }  # fmt: skip
    assert set(area["state"]) == {"trained", "counting", "composition", "position", "shuffled labels"}
    assert set(rows.loc[rows["axis"] == "disruption", "x"]) == {
        "frame shift", "triplets shuffled", "splice site mutated",
    }  # fmt: skip
    assert rows["value"].notna().all()
    about = json.loads((out / "provenance.json").read_text())["configuration"]
    assert about["annotation"]["file"] == "genes.gff3" and len(about["annotation"]["sha256"]) == 64
    (other := tmp_path / "other.gff3").write_text("9\t.\tgene\t1\t900\t.\t+\t.\tID=g\n")
    for further, sentence in (
        ([], "tasks: it needs labels: give --annotation, the GFF3 file of DNA or the lexicon of a text"),
        (["--annotation", other], "annotates none of the records: it names 9, the sequences are chr1, chr2; give"),
        (["--annotation", tmp_path / "none.gff3"], "no file"),
    ):
        status, printed, err = gfm("analyse", path, *given, *further)
        assert status == 1 and not printed and sentence in err and "Traceback" not in err


def test_without_a_report_nothing_of_the_book_is_loaded(tmp_path):
    """A machine that analyses many models has neither the time nor the memory for what makes pages."""
    paths = [save_model(tmp_path / f"{seed}", seed=seed) for seed in (1, 2)]
    script = (
        "import sys; from gfm_utils import cli; cli.app(sys.argv[1:], standalone_mode=False); "
        "made = ('gfm_utils.book', 'gfm_utils.figures', 'altair', 'papermill', 'sphinx'); "
        "sys.exit(', '.join(name for name in sys.modules if name.startswith(made)) or 0)"
    )
    command = [sys.executable, "-c", script, "analyse", *paths, "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "procrustes_disparity" in {row["metric"] for row in json.loads(found.stdout)}
