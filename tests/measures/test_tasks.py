"""Tasks: where their stretches lie, against brute force; what probes and models make of them, in slow code."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, ModernBertConfig, ModernBertForMaskedLM, set_seed
from transformers import PreTrainedTokenizerFast as Fast

from gfm_utils import corpora
from gfm_utils.corpora import CODES, Feature, Segment, base_classes, load, read_annotation
from gfm_utils.errors import GfmError
from gfm_utils.measures import task_performance
from gfm_utils.measures.estimates import kinds
from gfm_utils.measures.strands import reverse_complement
from gfm_utils.measures.tasks import disruptions, examples, measuring, probes, states
from gfm_utils.measures.tasks.dna import dna_tasks, gc
from gfm_utils.measures.tasks.examples import BLOCKS, Source, Stretch, Task
from gfm_utils.measures.tasks.text import read_lexicon, text_tasks
from gfm_utils.tokens import SPECIAL

SPAN = 40


def made_task(blocks=10, each=8, where="whole", text=lambda label, number: "ACGTACGT"):
    """A task of as many stretches of either class in each block, one behind the other."""
    stretches, block = [], []
    for number in range(blocks * each):
        stretches.append(Stretch("", text(number % 2 == 0, number), number % 2 == 0, 10 * number))
        block.append(number // each)
    return Task("made", where, stretches, np.array(block), 10 * len(stretches))


# Probes.


def test_the_area_is_that_of_every_pair_of_a_block():
    rng, task = np.random.default_rng(0), made_task(each=12)
    scores = rng.integers(0, 4, len(task.stretches)).astype(float)  # ties
    labels = probes.shuffled_labels(task, 1)
    labels[task.block == 3] = np.arange(12) < 5  # not as many of either
    found = probes.block_auc(task, labels, scores)
    for block, area in enumerate(found):
        here = task.block == block
        one, other = scores[here & labels], scores[here & ~labels]
        pairs = (one[:, None] > other).mean() + (one[:, None] == other).mean() / 2
        assert area == pytest.approx(pairs) == pytest.approx(roc_auc_score(labels[here], scores[here]))


def test_a_signal_is_found_in_the_form_that_has_it():
    rng, task = np.random.default_rng(0), made_task()
    noise = rng.normal(size=(3, len(task.stretches), 4))
    noise[1, :, 2] += 2 * task.labels
    found = probes.probe(task, list(noise))
    assert found.blocks.mean() > 0.85 and {form for form, _ in found.chosen} == {1}
    assert found.forms.shape == (3, 10) and found.forms[1] == pytest.approx(found.blocks)
    assert (found.forms[[0, 2]].mean(1) < 0.65).all()
    few, many = probes.learning_curve(task, list(noise), found, (4, 48), 0)
    assert 0.5 < few < many < 1
    # Scores of a fold do not depend on its own labels, whatever is chosen.
    mine = probes.fold_of(task) == 2
    other = probes.probe(task, list(noise), np.where(mine, ~task.labels, task.labels))
    np.testing.assert_array_equal(other.scores[mine], found.scores[mine])
    assert other.chosen[2] == found.chosen[2] and (other.scores[~mine] != found.scores[~mine]).any()


def by_means(features, truth, training, strength, asked):
    """A probe that takes no time: along the difference of the classes' means."""
    first, second = (features[training][truth[training] == label].mean(0) for label in (True, False))
    return features[asked] @ (first - second)


def test_among_many_forms_of_noise_none_is_better_than_chance(monkeypatch):
    """Forms that are chosen by probes which have seen the fold in question are above it here."""
    monkeypatch.setattr(probes, "_fitted", by_means)
    monkeypatch.setattr(probes, "STRENGTHS", (1.0,))
    areas = []
    for seed in range(30):
        rng, task = np.random.default_rng(seed), made_task(5, 12)
        areas.append(probes.probe(task, list(rng.normal(size=(20, len(task.stretches), 3)))).blocks.mean())
    assert abs(np.mean(areas) - 0.5) < 2.5 * np.std(areas, ddof=1) / len(areas) ** 0.5


def test_shuffled_labels_and_positions_are_at_chance():
    task = made_task(20, 12)
    labels = probes.shuffled_labels(task, 0)
    assert all(labels[task.block == block].sum() == 6 for block in range(20))
    seen = task.labels[:, None] + np.random.default_rng(0).normal(size=(240, 3))
    for found in (probes.probe(task, [seen], labels), probes.probe(task, probes.positions(task))):
        assert abs(found.blocks.mean() - 0.5) < 0.1
    assert probes.probe(task, [seen]).blocks.mean() > 0.8


def test_counting_counts_and_a_hidden_word_is_one_sign():
    task = made_task(where="hidden", text=lambda label, number: "ACC" if label else "CAC")
    task = replace(task, stretches=[one._replace(left="G") for one in task.stretches])
    assert set(probes.symbols_of(task)) == {"G_ACC", "G_CAC"}
    single = probes.counted(task, [1])[0].toarray()
    assert (single == single[0]).all()  # the same letters
    assert (probes.probe(task, probes.counted(task)).blocks == 1).all()
    assert (probes.probe(task, probes.one_by_one(task)).blocks == 1).all()
    assert probes.one_by_one(replace(task, where="whole")) == []


# Stretches of DNA.


@pytest.fixture(scope="module")
def source(planted):
    return Source("genome", load(str(planted.fasta)).segments, SPAN, 10_000, 1)


@pytest.fixture(scope="module")
def tasks(planted, source):
    made = [make() for make in dna_tasks(source, read_annotation(planted.gff))]
    return {task.name: task for task in made}


def sites(planted, source, places):
    """(place along the segments, left, right) of sites, from their record, strand and first forward base."""
    half = SPAN // 2
    for record, strand, base in places:
        for offset, segment in zip(source.offsets, source.segments, strict=False):
            # The border that the site lies at; on the other strand the site is the bases before it.
            at = base - segment.start
            if segment.record == record and half <= at <= len(segment) - half:
                left, right = (segment.text[at - half : at], segment.text[at : at + half])
                if strand == "-":
                    left, right = reverse_complement(right), reverse_complement(left)
                yield int(offset) + at, left, right


def expected_of(source, planted, places, task):
    """Those of the sites whose stretch lies in one of the blocks that a task has."""
    total = sum(map(len, source.segments))
    for place, left, right in sites(planted, source, places):
        ends = {end * BLOCKS // total for end in (place - SPAN // 2, place, place + SPAN // 2 - 1)}
        if len(ends) == 1 and ends <= set(task.block):
            yield place, left, right


def found_of(task, label):
    return {(one.place, one.left, one.right) for one in task.stretches if one.label is label}


@pytest.mark.parametrize(("name", "bases"), [("donor", "GT"), ("acceptor", "AG")])
def test_splice_sites_are_the_planted_ones_and_decoys_are_in_transcripts(planted, source, tasks, name, bases):
    true = [
        (record, strand, (begin if name == "donor" else end - 2) if strand == "+"
         else (end if name == "donor" else begin + 2))
        for record, strand, begin, end in planted.introns
    ]  # fmt: skip
    task = tasks[name]
    expected = {one for one in expected_of(source, planted, true, task) if one[2].startswith(bases)}
    assert found_of(task, True) == expected and len(expected) > 100
    alike = [
        (record, strand, at if strand == "+" else at + 2)
        for record, strand, begin, end in planted.genes
        for at in range(begin, end - 1)
        if planted.bases[record][at : at + 2] == (bases if strand == "+" else reverse_complement(bases))
    ]
    decoys = set(sites(planted, source, alike)) - set(sites(planted, source, true))
    assert found_of(task, False) <= decoys


def test_starts_are_the_planted_ones_and_backgrounds_are_far_and_alike(planted, source, tasks):
    task = tasks["start"]
    true = [(record, strand, begin if strand == "+" else end) for record, strand, begin, end in planted.genes]
    assert found_of(task, True) == set(expected_of(source, planted, true, task))
    every = np.array([place for place, *_ in sites(planted, source, true)])
    whole = "".join(segment.text for segment in source.segments)
    differences, random = [], []
    for block in np.unique(task.block):
        pairs = [one for one, of in zip(task.stretches, task.block, strict=True) if of == block]
        first, second = ([one for one in pairs if one.label is label] for label in (True, False))
        levels = np.array([[gc(one.left + one.right) for one in ones] for ones in (first, second)])
        differences += np.abs(levels[0] - levels[1]).tolist()
        random += np.abs(levels[0][:, None] - levels[1]).ravel().tolist()
        for one in second:
            around = whole[one.place - SPAN // 2 : one.place + SPAN // 2]
            assert one.left + one.right in (around, reverse_complement(around))
            assert np.abs(every - one.place).min() >= SPAN
    assert np.mean(differences) < np.mean(random) / 3


def test_stretches_are_pure_and_repeats_are_none_of_them(planted, source, tasks):
    classes = base_classes(source.segments, read_annotation(planted.gff))
    assert (classes == CODES[Feature.REPEAT]).any()
    whole = "".join(segment.text for segment in source.segments)
    pairs = {"coding": ("coding", "intergenic"), "coding or intron": ("coding", "intron"),
             "intron": ("intron", "intergenic")}  # fmt: skip
    for name, pair in pairs.items():
        for one in tasks[name].stretches:
            here = slice(one.place, one.place + SPAN)
            assert one.left == "" and one.right == whole[here]
            assert (classes[here] == CODES[Feature(pair[not one.label])]).sum() >= 0.8 * SPAN


def test_tasks_are_balanced_and_nothing_overlaps_or_crosses_a_border(source, tasks):
    assert list(tasks) == ["coding", "coding or intron", "intron", "donor", "acceptor", "start"]
    for task in tasks.values():
        for block in np.unique(task.block):
            labels = task.labels[task.block == block]
            assert labels.sum() * 2 == len(labels) >= 8
        for label in (True, False):
            ends = sorted(
                (one.place - len(one.left), one.place + len(one.right), block)
                for one, block in zip(task.stretches, task.block, strict=True) if one.label is label
            )  # fmt: skip
            assert all(one[1] <= other[0] for one, other in itertools.pairwise(ends))
            borders = np.arange(BLOCKS + 1) * source.offsets[-1] / BLOCKS
            assert all(borders[block] <= begin and end <= borders[block + 1] for begin, end, block in ends)
        few = task.first(40)
        assert few.labels.sum() * 2 == len(few.stretches) <= 40 and set(few.block) == set(task.block)
        assert set(few.stretches) <= set(task.stretches)


def test_a_task_has_at_most_so_many_stretches_and_at_least_some(planted, source):
    def donors(**changed):
        return dna_tasks(replace(source, **changed), read_annotation(planted.gff))[3]()

    few = donors(most=200)
    assert max(np.bincount(few.block)) == 10 and set(few.stretches) != set(donors(most=200, seed=2).stretches)
    with pytest.raises(GfmError, match=r"^task 'donor': 0 of 20 blocks of genome have 4 examples of [^\n]*$"):
        donors(segments=source.segments[:1])


# Stretches of text.

TEXT = (
    "The house stands near Mr. Smith. He walked home, and they said that Acme Inc. of the U.S. army left Bonn. "
    "Then, at 3.5 miles, a river came in. The doctors, Dr. Jones et al., never began to sing for a king. "
)
LEXICON = {
    "house": "NN", "stands": "VBZ", "walked": "VBD", "home": "NN", "Smith": "NNP", "miles": "NNS", "army": "NN",
    "river": "NN", "came": "VBD", "doctors": "NNS", "began": "VBD", "king": "NN", "sing": "VB", "said": "VBD",
    "left": "VBD", "never": "RB", "Jones": "NNP", "Bonn": "NNP", "then": "RB", "he": "PRP", "the": "DT",
    "of": "IN", "army.": "NN",
}  # fmt: skip


@pytest.fixture(scope="module")
def text():
    segments = [Segment(str(number), 0, TEXT * 60) for number in range(4)]
    given = Source("text", segments, 48, 800, 0)
    return {task.name: task for task in (make() for make in text_tasks(given, LEXICON))}


def test_a_hidden_word_is_a_noun_or_a_verb_and_is_not_shown(text):
    whole, seen = TEXT * 240, {}
    for one in text["word class"].stretches:
        word = whole[one.place :].split()[0].strip(".,")
        assert one.left == whole[one.place - 24 : one.place]
        assert one.right == whole[one.place + len(word) : one.place + len(word) + 24]
        assert (one.left + one.right)[24 - 1] == " " and not one.right[0].isalpha()
        seen.setdefault(word, set()).add(one.label)
    nouns = {word for word, labels in seen.items() if labels == {True}}
    assert nouns <= {"house", "home", "miles", "army", "river", "doctors", "king"} and len(nouns) > 5
    assert set(seen) - nouns <= {"stands", "walked", "came", "began", "sing", "said", "left"}
    assert len(set(seen) - nouns) > 5 and all(len(labels) == 1 for labels in seen.values())


def test_a_stop_ends_a_sentence_if_what_is_not_shown_says_so(text):
    whole, seen = TEXT * 240, {}
    for one in text["sentence end"].stretches:
        assert one.right == "" and one.left == whole[one.place - 48 : one.place]
        seen[one.left.split()[-1]] = one.label
    ends = {"Smith.": True, "in.": True, "king.": True}
    # "Bonn. Then" could be either: adverbs begin no sentence here, and after "Mr." and "Dr." stand names.
    assert seen == ends | {"Inc.": False, "U.": False, "U.S.": False, "al.,"[:-1]: False}


def test_a_lexicon_has_a_word_and_its_tags_a_line(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(";;; a comment\n\nrun VB NN\nhouse NN\n")
    assert read_lexicon(path) == {"run": "VB", "house": "NN"}
    path.write_text("run VB\nhouse\n")
    with pytest.raises(GfmError, match=r"words\.txt is no lexicon at line 2: .*not 'house"):
        read_lexicon(path)
    with pytest.raises(GfmError, match=r"no lexicon .*none\.txt; give"):
        read_lexicon(tmp_path / "none.txt")


# What models read and say.


@pytest.fixture(scope="module")
def letters():
    vocabulary = {word: place for place, word in enumerate([*SPECIAL, *"ACGT"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    roles = {token[1:-1].lower() + "_token": token for token in SPECIAL}
    return Fast(tokenizer_object=made, **roles)


def reader_of(tokenizer, window=16, around=((2,), (3,))):
    return states.Reader(tokenizer, "dna", window, tuple(np.array(ids, np.int64) for ids in around))


@pytest.mark.parametrize("where", ["right", "left", "hidden", "whole"])
def test_the_site_is_read_whatever_the_lengths(letters, where):
    rng = np.random.default_rng(0)
    lengths = (
        [(0, size) for size in range(1, 32)] if where == "whole" else itertools.product(range(1, 32), repeat=2)
    )
    stretches = [
        Stretch(*("".join(rng.choice(list("ACGT"), size)) for size in sizes), True, 0) for sizes in lengths
    ]
    task = Task("t", where, stretches, np.zeros(len(stretches), np.int64), 1)
    read = states.read_task(task, reader_of(letters))
    for ids, site, one in zip(read.ids, read.site, stretches, strict=True):
        left, right = (letters.convert_tokens_to_ids(list(side)) for side in (one.left, one.right))
        whole = [*left, *[letters.mask_token_id] * (where == "hidden"), *right]
        assert len(ids) == min(16, len(whole) + 2) and (ids[0], ids[-1]) == (2, 3)
        assert (ids == letters.mask_token_id).sum() == (where == "hidden")
        begin = 0 if where == "whole" else len(left) - (where == "left") - (site - 1)
        assert (site == -1) if where == "whole" else (0 < site < len(ids) - 1)
        assert ids[1:-1].tolist() == whole[begin : begin + 14]


def test_without_a_mask_token_no_word_is_hidden(letters):
    bare = Fast(tokenizer_object=letters.backend_tokenizer, unk_token="[UNK]")
    task = made_task(1, 2, "hidden")
    with pytest.raises(GfmError, match="hides a word, and the tokenizer has no mask token"):
        states.read_task(task, reader_of(bare))


@pytest.fixture(scope="module", params=[BertForMaskedLM, ModernBertForMaskedLM])
def model(request):
    shape = {"vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2,
             "intermediate_size": 16, "initializer_range": 0.5}  # fmt: skip
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id"), 0)
    config = BertConfig if request.param is BertForMaskedLM else ModernBertConfig
    set_seed(0)
    return request.param(config(**shape, **special)).eval().double()


@pytest.fixture(scope="module")
def stretches_read():
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 14, 12)
    ids = [np.array([2, *rng.integers(5, 9, length), 3]) for length in lengths]
    return states.TokenizedStretches(ids, np.array([rng.integers(1, length + 1) for length in lengths]))


def test_features_are_those_of_one_stretch_at_a_time(model, stretches_read):
    whole = states.TokenizedStretches(stretches_read.ids, np.full(12, -1))
    at_sites, means = (states.layer_features(model, read, (1, 1)) for read in (stretches_read, whole))
    for number, (ids, site) in enumerate(zip(*stretches_read, strict=True)):
        with torch.no_grad():
            output = model.base_model(input_ids=torch.from_numpy(ids)[None], output_hidden_states=True)
        every = [*output.hidden_states[:-1], output.last_hidden_state]
        assert len(at_sites) == len(means) == len(every) == 3
        for layer, state in enumerate(every):
            state = state[0].numpy()
            mean = state[1:-1].mean(0)
            np.testing.assert_allclose(means[layer][number], mean, atol=1e-10)
            expected = np.concatenate([state[site], state[site - 1], mean])
            np.testing.assert_allclose(at_sites[layer][number], expected, atol=1e-10)


def test_masked_bits_are_those_of_a_slow_loop(model, stretches_read):
    found = states.masked_bits(model, stretches_read.ids, (1, 1), 4)
    for ids, bits in zip(stretches_read.ids, found, strict=True):
        total = 0.0
        for first in range(4):
            shown = ids.copy()
            places = [place for place in range(1, len(ids) - 1) if (place - 1) % 4 == first]
            shown[places] = 4
            with torch.no_grad():
                log_p = model(input_ids=torch.from_numpy(shown)[None]).logits[0].log_softmax(-1).numpy()
            total -= sum(log_p[place, ids[place]] for place in places)
        assert bits == pytest.approx(total / np.log(2), abs=1e-9)


# Disrupted sequence.


def test_disruptions_keep_what_they_should_and_change_the_rest():
    rng = np.random.default_rng(0)
    bases = "".join(rng.choice(list("ACGT"), 50))
    left, right = bases[:24], bases[24:]
    shifted = disruptions.frame_shift(left, right, rng)
    assert shifted == bases[:25] + bases[26:] + bases[-1]
    triplets = disruptions.shuffled_triplets(left, right, rng)
    assert triplets != bases and triplets[48:] == bases[48:]
    assert sorted(triplets[i : i + 3] for i in range(0, 48, 3)) == sorted(
        bases[i : i + 3] for i in range(0, 48, 3)
    )
    mutated = [disruptions.mutated_site(left, right, rng) for _ in range(60)]
    assert all(
        [a == b for a, b in zip(one, bases, strict=True)] == [i not in (24, 25) for i in range(50)]
        for one in mutated
    )
    assert len({one[24] for one in mutated}) == len({one[25] for one in mutated}) == 3
    words = [str(number) for number in range(40)]
    swapped = disruptions.swapped_words(" ".join(words), "", rng).split(" ")
    assert sorted(swapped) == sorted(words) and swapped[:10] == words[:10] and swapped[-10:] == words[-10:]
    assert 8 <= sum(a != b for a, b in zip(words, swapped, strict=True)) <= 12


def test_stretches_come_whole_and_then_disrupted_and_a_background_has_shuffled_words():
    task = made_task(text=lambda label, number: f"a b c d e {number}")
    edit = disruptions.swapped_words
    both = disruptions.disrupted(task, edit, 0)
    plain = [one.right for one in task.stretches]
    assert both[: len(plain)] == plain and both[len(plain) :] == [edit("", one, None) for one in plain]
    shuffled = disruptions.with_shuffled_words(task, 0)
    assert (shuffled.labels == task.labels).all() and shuffled.where == "whole"
    for one, before in zip(shuffled.stretches, plain, strict=True):
        assert (one.right == before or not one.label) and sorted(one.right) == sorted(before)
    assert sum(one.right == before for one, before in zip(shuffled.stretches, plain, strict=True)) < 45


def test_an_effect_is_a_difference_in_pooled_standard_deviations():
    values, first = np.array([1.0, 2.0, 3.0, 10.0, 14.0]), np.array([True, True, True, False, False])
    # Means 2 and 12, variances 1 and 8.
    assert measuring._cohens_d(values, first) == pytest.approx(-10 / np.sqrt(4.5))
    assert measuring._cohens_d(np.ones(5), first) == 0


# Result tables.


@pytest.fixture(scope="module")
def performance(trained, smoke, tmp_path_factory):
    """Of the text ensemble, whose words have classes by their first letter."""
    path, words = tmp_path_factory.mktemp("lexicon") / "words.txt", set()
    for segment in load(trained[0].condition.rpartition("@")[0]).segments:
        words |= set(segment.text.replace(".", " ").split())
    path.write_text("".join(f"{word} {'NN' if word[0] < 'm' else 'VB'}\n" for word in sorted(words)))
    name = trained[0].condition.rpartition("@")[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "BLOCKS", 5)  # of a test part as short as this
        patch.setattr(corpora, "registry", lambda: {name: None})
        patch.setattr(corpora, "fetch_annotation", lambda name: path)
        yield task_performance([trained[0]], smoke.model_copy(update={"test_windows": 400}))


def test_the_table_has_members_counting_and_checks(performance, trained):
    assert kinds(performance)["text"] == [trained[0].condition]  # so that claims can be told from it
    area = performance[(performance["metric"] == "probe_auc") & (performance["axis"] == "task")]
    assert set(area["x"]) == {"word class"}
    states_of = area.groupby("state")["member"].nunique()
    assert states_of.to_dict() == {
        "trained": 3, "untrained": 3, "shuffled labels": 3, "counting": 0, "composition": 0, "position": 0,
    }  # fmt: skip
    level = area[area["member"].isna()].set_index("state")["value"]
    gain = performance[(performance["metric"] == "probe_gain") & performance["member"].isna()]
    for axis in (gain["axis"].isna(), gain["axis"] == "task"):
        mean = gain[axis.fillna(False)].set_index("state")["value"]
        assert mean["trained"] == pytest.approx(level["trained"] - level["counting"])
        assert mean["untrained"] == pytest.approx(level["untrained"] - level["counting"])
    assert (gain[gain["state"] == "counting"]["value"] == 0).all() and (gain["state"] == "counting").sum() == 2
    assert performance["value"].notna().all()
    metrics = {"probe_kappa", "disruption_auc", "disruption_effect", "disruption_correlation"}
    assert metrics < set(performance["metric"])
    layers = performance[performance["axis"] == "task|layer"]["x"]
    assert set(layers) == {"word class|embeddings", "word class|encoder.0", "word class|encoder.1"}
