"""What a small corpus cannot fill is made smaller: window, batch and budget of training fitted to its tokens."""

import math

import numpy as np

from gfm_utils.errors import GfmError
from gfm_utils.profiles import Profile
from gfm_utils.tokens import FEWEST_WINDOWS, PARTS, SPECIAL, TokenStore

#: A window is halved down to this many tokens, not further: less than that is no context.
SMALLEST_WINDOW = 16
#: The training part is read this often at most. Repetition stops helping after some forty epochs of a model that
#: predicts every token (Muennighoff et al., 2023); a masked one predicts 15 to 30 % of them in an epoch.
EPOCHS = 100
#: Tokens that the windows of the test part must hold: 15 % of them are 75 predictions, which give a share such as
#: the accuracy with a standard error of six points at worst.
FEWEST_TEST_TOKENS = 500
#: A token of the vocabulary that training sees less often than this on average is hardly learned.
SEEN = 20


def shrink_profile(store: TokenStore, profile: Profile) -> tuple[Profile, tuple[str, ...]]:
    """The profile with window, batch and budget that the tokens of a condition can fill.

    Nothing changes for a corpus that is large enough. The window is halved (down to ``SMALLEST_WINDOW``) while a
    part has too few windows, as with short records; the batch is at most the training part's windows; and the
    steps read the training part no more than ``EPOCHS`` times, unless the budget was asked for.

    Returns:
        The sizes that are used; and what was adapted and why, a sentence each.

    Raises:
        GfmError: the test part is too small for a meaningful answer; says how much would do.
    """
    window = profile.window
    while not _enough(counts := _counts(store, window), window):
        if window <= SMALLEST_WINDOW:
            raise _too_small(store, window, counts)
        window = max(SMALLEST_WINDOW, window // 2)
    notes = []
    if window < profile.window:
        notes.append(
            f"windows of {window} tokens instead of {profile.window}, of which its records would give too few"
        )
    batch = min(profile.batch, counts["train"])
    if batch < profile.batch:
        notes.append(f"batches of {batch} windows instead of {profile.batch}, all that the training part has")
    used = profile.model_copy(update={"window": window, "batch": batch})
    most = math.ceil(EPOCHS * counts["train"] / batch)
    if not profile.budget_given and used.steps_taken > most:
        notes.append(
            f"{most:,} steps a member instead of {used.steps_taken:,}, which read the training part {EPOCHS} times"
        )
        used = used.model_copy(update={"steps": most, "tokens": None})
    if counts["test"] < profile.test_windows:
        notes.append(f"all {counts['test']:,} test windows, where the profile would read {profile.test_windows:,}")
    train, vocabulary = int(store.about["parts"]["train"]["tokens"]), store.vocabulary - len(SPECIAL)
    if train < SEEN * vocabulary:
        notes.append(
            f"training sees each of the {vocabulary:,} tokens of the vocabulary {train / vocabulary:.1f} times on "
            "average: a smaller vocabulary would be learned better"
        )
    return used, tuple(notes)


def _counts(store: TokenStore, window: int) -> dict[str, int]:
    """Windows of each part, end to end, none crossing a segment's end."""
    return {part: int((np.load(store.path / f"{part}-lengths.npy") // window).sum()) for part in PARTS}


def _enough(counts: dict[str, int], window: int) -> bool:
    """Whether windows of this length leave enough of every part."""
    held = min(counts["validation"], counts["test"]) * window
    return counts["train"] >= FEWEST_WINDOWS and held >= FEWEST_TEST_TOKENS


def _too_small(store: TokenStore, window: int, counts: dict[str, int]) -> GfmError:
    """The error that the records are too short, or the corpus; it says what would do."""
    sizes = store.about["parts"]
    part = min(("validation", "test"), key=lambda name: counts[name])
    if sizes[part]["tokens"] >= FEWEST_TEST_TOKENS:
        length = np.load(store.path / f"{part}-lengths.npy").mean()
        return GfmError(
            f"the records of {store.condition!r} are too short ({length:.0f} tokens on average): its {part} "
            f"part has {counts[part]} windows of {window} tokens and {FEWEST_TEST_TOKENS // window + 1} are "
            "needed; give longer records, for example by joining short ones"
        )
    symbols, tokens = (sum(int(size[unit]) for size in sizes.values()) for unit in ("symbols", "tokens"))
    needed = FEWEST_TEST_TOKENS * symbols / (sizes[part]["tokens"] or tokens / 10)  # a tenth is a part's share
    wanted = 10 ** (math.floor(math.log10(needed)) - 1)
    return GfmError(
        f"corpus of {store.condition!r} is too short: its {symbols:,} {store.unit}s ({tokens:,} tokens) leave the "
        f"{part} part with {counts[part] * window} tokens in windows of {window}, and {FEWEST_TEST_TOKENS} are "
        f"needed for a meaningful answer: give about {math.ceil(needed / wanted) * wanted:,} {store.unit}s or more"
    )


def fitting_tokenizer(kind: str, symbols: int | None) -> str:
    """The book's tokenizer for a corpus of that kind and about so many characters, bases or residues (None: many).

    It is ``bpe256``, or of DNA the longest of ``kmer4`` to ``kmer1`` whose tokens training sees ``SEEN`` times on
    average; of protein ``kmer1`` where it does not see those of ``bpe256`` so often.
    """
    seen = math.inf if symbols is None else 0.8 * symbols
    if kind == "dna":
        return f"kmer{next((k for k in (4, 3, 2) if seen / k >= SEEN * 4**k), 1)}"
    return "kmer1" if kind == "protein" and seen / 2 < SEEN * 256 else "bpe256"
