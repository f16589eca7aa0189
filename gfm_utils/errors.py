"""The one exception that a user is meant to read."""

import difflib
from collections.abc import Iterable


class GfmError(Exception):
    """Something the user can mend: the message is one clear sentence (what is wrong, where, what to do)."""


class Refused(GfmError, OSError):
    """What the system does not do, as one sentence: no permission, no such folder, no locks."""


class ProcessKilled(GfmError):
    """A process that did the work is gone, and none of its own doing: the same command continues where it was."""


def sentence_of(error: Exception) -> str:
    """The sentence for an error that the user can mend, of the system's too: no space, no permission."""
    if isinstance(error, GfmError):
        return str(error)
    return f"the system refused ({error}); mend that and run the same command again, what was done is kept"


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind if it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def unknown(what: str, given: str, known: Iterable[str], hint: str = "") -> GfmError:
    """Error for a name that does not exist, with those of its kind (``what``) that do, the closest one first.

    ``hint`` is a clause on what else may be given.
    """
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(names) if names else "none"
    return GfmError(f"unknown {what} {given!r}{guess} (known: {listed}{'; ' + hint if hint else ''})")
