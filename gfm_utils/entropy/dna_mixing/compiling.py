"""How every kernel is compiled."""

import numba

#: Cached on disk; no reference counts, because kernels allocate nothing and only work on arrays handed to them.
kernel = numba.njit(cache=True, fastmath=True, error_model="numpy", _nrt=False)
