"""Small corpora that the tests make, and one ensemble trained on them for all tests that read one."""

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings

from gfm_utils import cli, measures
from gfm_utils.claims.along_training import AXIS, LEVEL_NLL, Setting
from gfm_utils.ensembles import Ensemble, ensemble, multiprocess, train_ensembles
from gfm_utils.ensembles.member_job import Callback, MemberJob, batch_members
from gfm_utils.ensembles.member_writer import Diverged
from gfm_utils.ensembles.training import train_members
from gfm_utils.errors import GfmError
from gfm_utils.files import locked
from gfm_utils.profiles import Profile, profile
from gfm_utils.tables import table

pytest_plugins = ["planted_genes", "published_tokenizers"]

# A loaded machine is slow; what takes how long is no test's business.
settings.register_profile("any-machine", deadline=None, max_examples=50)
settings.load_profile("any-machine")


#: Files that take minutes, longest first: with ``--dist loadfile`` the others fill the time beside and after them.
LONG = ("test_chapters.py", "test_driver.py", "test_batch.py", "test_cluster.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(shared: Path) -> None:
    """No test reads or writes the user's cache; those of the real corpora turn to it by themselves."""
    os.environ["GFM_CACHE"] = str(shared / "cache")


def train_here(jobs: Sequence[MemberJob], callback: Callback) -> list[Diverged]:
    """The members in this process, one after the other, each as a worker of one thread would train it."""
    where, threads = multiprocess.device(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        groups = batch_members(multiprocess.missing_of(jobs), where)
        return [diverged for group in groups for diverged in train_members(group, where, callback)]
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def _trains_here() -> Iterator[None]:
    """No test begins processes that train, and import torch first, but those that ask for ``processes``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ensemble.ENGINES, "local", train_here)
        yield


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local engine as it is: members train in processes."""
    monkeypatch.setitem(ensemble.ENGINES, "local", multiprocess.train)


@pytest.fixture
def threads_for_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What training costs is measured in a thread, else in processes."""

    @contextmanager
    def pool(jobs: Sequence[MemberJob]) -> Iterator[Any]:
        with ThreadPoolExecutor(1) as executor:
            yield executor, None, 1

    monkeypatch.setattr(multiprocess, "_pool", pool)
    monkeypatch.setattr(multiprocess, "_barrier", threading.Barrier(1))


@pytest.fixture(autouse=True)
def _browser(request: pytest.FixtureRequest) -> None:
    """Skip what needs a browser where there is none, unless ``GFM_REQUIRE_BROWSER=1`` asks for it."""
    if request.node.get_closest_marker("browser") and os.environ.get("GFM_REQUIRE_BROWSER") != "1":
        try:
            browser.find_chromium()
        except GfmError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"


@pytest.fixture(scope="session", autouse=True)
def _ray_token() -> None:
    """Ray reads its token once a process, at its import: all simulated clusters of a process have one token."""
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@pytest.fixture
def gfm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """The command with these arguments: its exit status, standard output and standard error."""

    def command(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["gfm", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        status = stop.value.code or 0
        assert isinstance(status, int)
        return status, out, err

    return command


def write_once(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    return path


@pytest.fixture(scope="session")
def toy_text(shared: Path) -> Path:
    """Sixty paragraphs of made-up sentences: words follow each other by a random but fixed rule."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("aeioulmnrst"), rng.integers(2, 8))) for _ in range(80)]
    follow = rng.integers(0, len(words), (len(words), 4))
    paragraphs = []
    for _ in range(60):
        word, sentence = int(rng.integers(len(words))), []
        for _ in range(350):
            sentence.append(words[word])
            word = int(follow[word, rng.integers(4)])
        paragraphs.append(" ".join(sentence) + ".")
    return write_once(shared / "toy.txt", "\n\n".join(paragraphs))


@pytest.fixture(scope="session")
def toy_fasta(shared: Path) -> Path:
    """Two records of random bases, with lower case, N and IUPAC codes in places."""
    rng = np.random.default_rng(1)
    records = []
    for name in ("one", "two"):
        bases = "".join(rng.choice(list("ACGT"), 60_000, p=[0.35, 0.15, 0.15, 0.35]))
        bases = (
            bases[:20_000] + bases[20_000:25_000].lower() + "N" * 50 + bases[25_000:40_000] + "R" + bases[40_000:]
        )
        records.append(
            f">{name} a made-up chromosome\n" + "\n".join(bases[i : i + 80] for i in range(0, len(bases), 80))
        )
    return write_once(shared / "toy.fa", "\n".join(records) + "\n")


@pytest.fixture(scope="session")
def smoke() -> Profile:
    return profile("smoke")


@pytest.fixture(scope="session")
def trained(shared: Path, toy_text: Path, toy_fasta: Path, smoke: Profile) -> list[Ensemble]:
    """A text and a DNA ensemble of three members at the smoke profile."""
    conditions = [f"{toy_text}@bpe64", f"{toy_fasta}@kmer3"]
    with locked(shared / "trained"):  # the other process waits, instead of starting two of its own
        return train_ensembles(conditions, smoke, shared / "runs", members=3, progress=False)


@pytest.fixture(scope="session")
def measured(shared: Path, trained: list[Ensemble], smoke: Profile) -> Callable[[str], pd.DataFrame]:
    """A chapter's result table of the trained ensembles, made once for all tests: ``measured("disagreement")``."""
    make: dict[str, Callable[[], pd.DataFrame]] = {
        "predictions": lambda: measures.output_distributions(trained, smoke),
        "disagreement": lambda: measures.disagreement(trained, smoke),
        "static_embeddings": lambda: measures.static_embeddings(trained),
        "contextual_embeddings": lambda: measures.contextual_embeddings(trained, smoke),
        "fisher": lambda: measures.fisher_information(trained, smoke),
    }

    def read(chapter: str) -> pd.DataFrame:
        path = shared / f"{chapter}.pickle"
        with locked(path):
            if not path.exists():
                make[chapter]().to_pickle(path)
        return pd.read_pickle(path)

    return read


#: Synthetic runs: gain at the end of text and of DNA, and of what is measured, as a function of the gain, of
#: whether it is DNA and of whether AdamW trains alone.
GAINS_AT_END = {"a@bpe9": 4.0, "b@kmer4": 0.8}
MEASURED = {
    "context_gain": lambda gain, dna, adamw: gain,
    "nll": lambda gain, dna, adamw: 7.0 - gain,
    "fisher_share": lambda gain, dna, adamw: 0.1 * gain,
    "js_distance": lambda gain, dna, adamw: 0.1 * gain + 0.2 * dna,
    "topk_overlap_corrected": lambda gain, dna, adamw: 0.1 * gain + 0.3 * adamw,
}
SETTINGS = tuple(
    Setting(*given, 1_024_000)
    for given in (("modernbert-2x64", "muon"), ("modernbert-2x64", "adamw"), ("modernbert-2x32", "muon"))
)


@pytest.fixture(scope="session")
def along() -> pd.DataFrame:
    """Runs whose encoder's share follows the gain alone, whose distance is DNA's own, and neighbours AdamW's.

    Between checkpoints every measure is a straight line over the gain; the validation loss is a power law with its
    floor at 2 bits. AdamW and the smaller model gain half.
    """
    rng, rows = np.random.default_rng(5), []
    for name, end in GAINS_AT_END.items():
        unit = "bits/base" if name[0] == "b" else "bits/character"
        for level, value in (("unigram", 7.0), ("both", 7.0 - end / 2), ("code", 6.5)):
            base = {"condition": name, "metric": LEVEL_NLL, "axis": "level", "x": level}
            rows += [{**base, "value": value, "unit": "bits/token"}, {**base, "value": value / 4, "unit": unit}]
        for setting in SETTINGS:
            shift = rng.normal(0, 1e-3, 5)
            for tokens in (0, *(setting.budget >> power for power in range(8, -1, -1))):
                gain = end * (tokens / setting.budget) ** 0.5 * (1 if setting == SETTINGS[0] else 0.5)
                law = {"validation_nll": 2 + 0.5 * (max(tokens, 500) / setting.budget) ** -0.3}
                values = {key: of(gain, name[0] == "b", setting[1] == "adamw") for key, of in MEASURED.items()}
                for metric, value in (values | law).items():
                    base = {
                        "condition": name, "state": "trained", "metric": metric, "axis": AXIS,
                        "x": setting.x(tokens), "unit": "share",
                    }  # fmt: skip
                    own = value + shift
                    rows += [{**base, "member": i, "value": one} for i, one in enumerate(own, 1)]
                    ends = {"low": own.mean() - 1e-3, "high": own.mean() + 1e-3, "n": 5}
                    rows.append({**base, "value": own.mean(), **ends})
    return table(rows)
