"""Small numerical tools that the kernels share: logarithms from a table, a hash, bit counts, prefetching."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gfm_utils.entropy.dna_mixing.compiling import kernel

#: Multiplier of the multiplicative hash (2**64 over the golden ratio).
HASH = np.uint64(0x9E3779B97F4A7C15)
ONE = np.uint64(1)
TWO = np.uint64(2)
LEVELS = np.float32(4096)
#: ln of a probability given in 4096ths; index 4096 belongs to probability 1.
LOG = np.log((np.arange(4097) + 0.5) / 4097).astype(np.float32)


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask the processor for the cache line of ``array[index]`` (C order, first axis); it waits for nothing."""
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


@kernel
def ones(word: Any) -> Any:
    """Number of set bits of a uint32 (compiled to one instruction)."""
    count = 0
    while word:
        word &= word - np.uint32(1)
        count += 1
    return count


@kernel
def low_bits(bases: Any) -> Any:
    """Mask of the 2 bits of each of so many bases, less than 32."""
    return (ONE << np.uint64(2 * bases)) - ONE


@kernel
def log_of(probability: Any) -> Any:
    """Natural logarithm of a float32 probability, from the table."""
    return LOG[np.int64(probability * LEVELS)]


@kernel
def mismatches(one: Any, other: Any) -> Any:
    """Which of the 32 bases of two words differ: one bit a base (uint32), last base in the lowest bit."""
    bits = one ^ other
    bits = (bits | (bits >> ONE)) & np.uint64(0x5555555555555555)
    bits = (bits | (bits >> np.uint64(1))) & np.uint64(0x3333333333333333)
    bits = (bits | (bits >> np.uint64(2))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    bits = (bits | (bits >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    bits = (bits | (bits >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    bits = (bits | (bits >> np.uint64(16))) & np.uint64(0x00000000FFFFFFFF)
    return np.uint32(bits)


@kernel
def mirrored(word: Any) -> Any:
    """A uint32 with its bits in reverse order."""
    word = ((word >> np.uint32(1)) & np.uint32(0x55555555)) | ((word & np.uint32(0x55555555)) << np.uint32(1))
    word = ((word >> np.uint32(2)) & np.uint32(0x33333333)) | ((word & np.uint32(0x33333333)) << np.uint32(2))
    word = ((word >> np.uint32(4)) & np.uint32(0x0F0F0F0F)) | ((word & np.uint32(0x0F0F0F0F)) << np.uint32(4))
    word = ((word >> np.uint32(8)) & np.uint32(0x00FF00FF)) | ((word & np.uint32(0x00FF00FF)) << np.uint32(8))
    return np.uint32((word >> np.uint32(16)) | (word << np.uint32(16)))  # numba computes with 64 bits
