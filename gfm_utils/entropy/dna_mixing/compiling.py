"""How the kernels are compiled and cached."""

import hashlib
from pathlib import Path
from typing import Any

import numba

# No reference counts (``_nrt``, an option of numba's that its stubs leave out): kernels allocate nothing and work
# only on the arrays handed to them; counting references took more than half of the time.
_OPTIONS: dict[str, Any] = {"fastmath": True, "error_model": "numpy", "_nrt": False}

#: Decorator of the kernels that other kernels call.
kernel = numba.njit(**_OPTIONS)
#: Decorator of the kernel that Python calls: compiled, with all that it calls, on the first call; cached on disk.
entry = numba.njit(cache=True, **_OPTIONS)


def sources_digest(folder: Path) -> int:
    """62 bits that differ when any Python file of the folder does.

    Numba's cache notices changes of the file that holds the entry, of the values that the entry closes over, and
    of nothing else; so the entry closes over this.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 2
