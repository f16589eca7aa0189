"""How the kernels are compiled and cached."""

import hashlib
from pathlib import Path
from typing import Any

import numba
from numba.core import options

_OPTIONS: dict[str, Any] = {"fastmath": True, "error_model": "numpy"}
# No reference counts: kernels allocate nothing and work only on the arrays handed to them, and counting costs the
# full mode about 30 % of its speed and the fast mode 10 %. The option is numba's own, not for the public (and
# unknown to its stubs): where a later numba lacks it, the kernels are the same, only slower.
if hasattr(getattr(options, "DefaultOptions", None), "_nrt"):
    _OPTIONS["_nrt"] = False

#: Decorator of the kernels that make up the pass over the bases. They become part of their caller's code, since a
#: call with the arrays of a whole model takes longer than most of them do.
kernel = numba.njit(forceinline=True, **_OPTIONS)
#: Decorator of the pass itself: compiled, with all that it calls, on the first call, cached on disk, and run
#: without the lock of the interpreter.
entry = numba.njit(cache=True, nogil=True, **_OPTIONS)


def sources_digest(folder: Path) -> int:
    """63 bits, not all 0, that differ when any Python file of the folder does.

    Numba's cache notices changes of the file that holds the entry, of the values that the entry closes over, and
    of nothing else; so the entry closes over this.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 1 | 1
