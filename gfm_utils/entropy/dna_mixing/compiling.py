"""How every kernel is compiled."""

from typing import Any

import numba

# No reference counts (``_nrt``, an option of numba's that its stubs leave out): kernels allocate nothing and work
# only on the arrays handed to them; counting references took more than half of the time.
_OPTIONS: dict[str, Any] = {"cache": True, "fastmath": True, "error_model": "numpy", "_nrt": False}

#: Decorator of the kernels; compiled on the first call and cached on disk.
kernel = numba.njit(**_OPTIONS)
