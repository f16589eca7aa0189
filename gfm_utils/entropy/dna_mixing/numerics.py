"""How kernels are compiled, and their logarithm, exponential, operations on bits, hash and prefetching."""

import hashlib
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, options
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray

_OPTIONS: dict[str, Any] = {"fastmath": True, "error_model": "numpy"}
# No reference counts, which cost the full mode about 30 % of its speed: kernels allocate nothing. The option is
# numba's own, not public: where a later numba lacks it, the kernels are the same, only slower.
if hasattr(getattr(options, "DefaultOptions", None), "_nrt"):
    _OPTIONS["_nrt"] = False

#: Decorator of kernels, which become part of their caller's code: a call with the arrays of a whole model takes
#: longer than most of them do.
kernel = numba.njit(forceinline=True, **_OPTIONS)
#: Decorator of the pass over the bases: compiled on the first call, cached on disk, run without Python's lock.
entry = numba.njit(cache=True, nogil=True, **_OPTIONS)


def sources_digest(folder: Path) -> int:
    """63 bits, not all 0, that differ when any Python file of the folder does.

    Numba's cache notices changes only of the file that holds the entry and of the values that it closes over, so
    the entry closes over this.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 1 | 1


#: Multiplier of the multiplicative hash (2**64 over the golden ratio).
HASH = np.uint64(0x9E3779B97F4A7C15)
ONE = np.uint64(1)
TWO = np.uint64(2)
LN_2 = np.float32(np.log(2))
_E_LOG_2 = np.float32(1 / np.log(2))
# Least-squares polynomials, exact at both ends of their range: ln(1 + u) / u for 0 <= u < 1 (the logarithm is off
# by 2e-6 at most) and 2**f for -1 < f <= 0 (relative error 1e-7).
_L0, _L1, _L2, _L3, _L4, _L5 = map(
    np.float32, (0.99988371, -0.4976197, 0.3164497, -0.1912871, 0.08324716, -0.01752658)
)
_X0, _X1, _X2, _X3, _X4, _X5 = map(
    np.float32, (1, 0.693144088, 0.240183278, 0.0553055871, 0.00921417580, 0.000947779278)
)
_LOWEST = np.float32(-100)
_FLOOR, _CEILING = np.float32(0.0004), np.float32(0.9988)
_LINE, _APART = 64, 256  # bytes


def cache_aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros that start at a cache line, so that what is fetched together (32 or 64 bytes) lies in one line.

    What follows is at least 256 bytes away: where two arrays of a loop lie closer, LLVM runs the loop one number
    at a time, and rounds otherwise.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + _LINE + _APART, np.uint8)
    start = -room.ctypes.data % _LINE
    return room[start : start + size].view(dtype).reshape(shape)


def _bit_operation(build: Any, result: Any = None) -> Any:
    """One of LLVM's operations on a word: ``build`` emits it; its type is ``result``, or the word's."""

    @intrinsic
    def operation(typing_context: Any, word: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return build(builder, arguments[0])

        return (result or word)(word), codegen

    return operation


#: Number of set bits.
ones = _bit_operation(lambda builder, word: builder.ctpop(word))
#: The word with its bits in reverse order.
mirrored = _bit_operation(lambda builder, word: builder.bitreverse(word))
#: Number of zeros above the highest set bit.
leading_zeros = _bit_operation(lambda builder, word: builder.ctlz(word, ir.Constant(ir.IntType(1), 0)))
_bits_of_float = _bit_operation(lambda builder, word: builder.bitcast(word, ir.IntType(32)), types.int32)
_float_of_bits = _bit_operation(lambda builder, word: builder.bitcast(word, ir.FloatType()), types.float32)


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    signature = types.void(array, index)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        values = context.make_array(kind)(context, builder, arguments[0])
        stride = cgutils.unpack_tuple(builder, values.strides, kind.ndim)[0]
        address = builder.add(builder.ptrtoint(values.data, stride.type), builder.mul(arguments[1], stride))
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        call = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        )
        builder.call(call, [builder.inttoptr(address, byte), flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return signature, codegen


#: Ask the processor for the cache line of ``array[index]`` (C order, first axis), and wait for nothing.
prefetch: Any = intrinsic(_prefetch)


@kernel
def level(share: Any, levels: Any) -> Any:
    """A share between 0 and 1 as one of so many equal steps, counted from 1."""
    return min(levels, 1 + np.int64(share * np.float32(levels)))


@kernel
def low_bits(bases: Any) -> Any:
    """Mask of the 2 bits of each of so many bases, less than 32."""
    return (ONE << np.uint64(2 * bases)) - ONE


@kernel
def approach(distribution: Any, base: Any, rate: Any) -> None:
    """Move a distribution, shape (4,), towards the base that came; none of it falls below about 0.0004."""
    for other in range(4):
        target = _CEILING if other == base else _FLOOR
        distribution[other] += rate * (target - distribution[other])


@kernel
def natural_log(x: Any) -> Any:
    """Logarithm of a positive float32, in operations that the compiler does on many at once."""
    bits = _bits_of_float(x)
    exponent = np.float32(np.int32((bits >> np.int32(23)) - np.int32(127)))
    u = _float_of_bits(np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000))) - np.float32(1)
    return exponent * LN_2 + u * (_L0 + u * (_L1 + u * (_L2 + u * (_L3 + u * (_L4 + u * _L5)))))


@kernel
def exponential(x: Any) -> Any:
    """The exponential of a float32 that is not positive (at least e**-69), in the same way."""
    power = max(x * _E_LOG_2, _LOWEST)
    whole = np.int32(power)
    f = power - np.float32(whole)
    scale = _float_of_bits(np.int32((whole + np.int32(127)) << np.int32(23)))
    return scale * (_X0 + f * (_X1 + f * (_X2 + f * (_X3 + f * (_X4 + f * _X5)))))


@kernel
def mismatches(one: Any, other: Any) -> Any:
    """Which of the 32 bases of two words differ: one bit a base (uint32), last base in the lowest bit."""
    bits = one ^ other
    bits = (bits | (bits >> ONE)) & np.uint64(0x5555555555555555)
    bits = (bits | (bits >> ONE)) & np.uint64(0x3333333333333333)
    bits = (bits | (bits >> TWO)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    bits = (bits | (bits >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    bits = (bits | (bits >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    bits = (bits | (bits >> np.uint64(16))) & np.uint64(0x00000000FFFFFFFF)
    return np.uint32(bits)
