"""Tasks of text, by what is hidden from a model: does a sentence end here, and of which class is a hidden word?"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from gfm_utils.corpora.opening import lines
from gfm_utils.errors import GfmError
from gfm_utils.measures.tasks.examples import Source, Stretch, Task, balanced

_WORD = re.compile(r"(?<![\w'’-])[^\W\d_]{4,}(?![\w'’-])")
_STOP = re.compile(r"(?<=[^\W\d_])\.(?:(?P<next>\s+)(?P<word>[^\W\d_]+)\b|(?=,)|(?=[^\W\d_a-z]))")
#: Tags of the Penn treebank (Marcus et al., 1993) with which a sentence often begins, and hardly a name.
_FUNCTION = ("DT", "PRP", "PRP$", "IN", "CC", "WRB", "EX")


def read_lexicon(path: Path) -> dict[str, str]:
    """The commonest tag of each word, from lines of a word and its tags; the first tag is the commonest.

    Raises:
        GfmError: no such file, or a line without a tag.
    """
    if not path.is_file():
        raise GfmError(f"no lexicon {path}; give a file with a word and its tag of the Penn treebank a line")
    tags = {}
    for number, line in enumerate(lines(path), start=1):
        if line.strip() and not line.startswith(";;;"):
            words = line.split()
            if len(words) < 2:
                raise GfmError(
                    f"{path} is no lexicon at line {number}: a word and its tag are needed, not {line!r}"
                )
            tags[words[0]] = words[1]
    return tags


def text_tasks(source: Source, lexicon: Mapping[str, str]) -> list[Callable[[], Task]]:
    """What makes the tasks of text.

    *word class*: a word is hidden, and what stands around it is to tell whether it is a noun or a verb, by its
    commonest tag in the lexicon. *sentence end*: what stands before a full stop is to tell whether a sentence ends
    there. What follows, which is not shown, decides that: a capitalised word of a class with which sentences begin
    (an article, pronoun, preposition, conjunction); against a comma, a capital letter or a word in lower case.
    """
    words, stops = partial(_words, source, lexicon), partial(_stops, source, lexicon)
    return [
        partial(balanced, source, "word class", "hidden", words),
        partial(balanced, source, "sentence end", "left", stops),
    ]


def _words(source: Source, lexicon: Mapping[str, str]) -> Iterator[Stretch]:
    """Words in lower case with their context."""
    half = source.span // 2
    for offset, segment in zip(source.offsets, source.segments, strict=False):
        for found in _WORD.finditer(segment.text):
            tag, (begin, end) = lexicon.get(found[0], "")[:2], found.span()
            if tag in ("NN", "VB") and found[0].islower() and begin >= half and len(segment) - end >= half:
                left, right = segment.text[begin - half : begin], segment.text[end : end + half]
                yield Stretch(left, right, tag == "NN", int(offset) + begin)


def _stops(source: Source, lexicon: Mapping[str, str]) -> Iterator[Stretch]:
    """Full stops with the text before them."""
    for offset, segment in zip(source.offsets, source.segments, strict=False):
        for found in _STOP.finditer(segment.text):
            word, end = found["word"], found.start() + 1
            ends = word is not None and word[0].isupper() and lexicon.get(word.lower()) in _FUNCTION
            goes_on = word is None or word[0].islower()
            if (ends or goes_on) and end >= source.span:
                yield Stretch(segment.text[end - source.span : end], "", ends, int(offset) + end)
