"""A context-mixing code length of bytes: what an adaptive code spends on each, having seen those before it.

DNA has its own, see `gfm_utils.entropy.dna_mixing`.

Each symbol is a walk of ``bits`` binary decisions.
For every order k a table holds, at the last k symbols and the decisions so far, the probability of a 1 and
how often it was updated; a match model follows the latest earlier occurrence of a longer context.
Their log-odds x_i are added with weights, p = 1 / (1 + exp(−Σ w_i x_i)), and the weights follow the gradient
of the code length: "logistic mixing" (M. Mahoney, "Adaptive weighing of context models", 2005).
Every decision costs −log2 p or −log2 (1 − p), so the probabilities of all symbols sum to one, and
only the past is read: the sum is the length of a decodable code, an *upper bound* on the entropy.

Memory: at most about 0.8 GB, less for short sequences, whatever their length.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_HASH = np.uint64(0x9E3779B97F4A7C15)
_LOG_TABLE = 25  # largest log2 of the slots (4 bytes each) of one order
_STRETCH = np.log((np.arange(4096) + 0.5) / (4095.5 - np.arange(4096)))  # log-odds of a 12-bit probability
_BUCKET = np.array([int(updates).bit_length() for updates in range(1024)])  # log2 of a number of updates
_P_LIMIT = 1.0 / 65536


@dataclass(frozen=True)
class Mixer:
    """What the mixer looks at.

    Attributes:
        bits: binary decisions a symbol: 8 for bytes.
        orders: context lengths in symbols, from 0 to less than 64 / ``bits``.
        memory: for every order, the updates that a probability remembers (rate at least 1/memory).
        match: length of the context that starts a match, less than 64 / ``bits``.
        rate: final learning rate of the weights.
    """

    bits: int
    orders: tuple[int, ...]
    memory: tuple[int, ...]
    match: int
    rate: float


BYTE_MIXER = Mixer(
    bits=8,
    orders=(0, 1, 2, 3, 4, 5, 6),
    memory=(250, 250, 250, 250, 250, 120, 120),
    match=7,
    rate=0.002,
)


def context_mixing(symbols: NDArray[np.uint8], mixer: Mixer) -> NDArray[np.float32]:
    """Cost of each symbol in bits, coded after all those before it.

    The first call of an installation compiles the kernel (some seconds), later ones load it.

    Args:
        symbols: shape (n,), below ``2**mixer.bits``.
        mixer: what to look at; `BYTE_MIXER` for bytes.

    Returns:
        Shape (n,), float32, bits.

    Raises:
        ValueError: a symbol is out of range.
    """
    symbols = np.array(symbols, dtype=np.uint8)  # a copy: numba compiles anew for a read-only array
    if symbols.size and int(symbols.max()) >= 2**mixer.bits:
        raise ValueError(f"symbols must lie between 0 and {2**mixer.bits - 1}")
    group = min(mixer.bits, 4)  # decisions whose probabilities lie side by side in memory
    prefix = 0 if mixer.bits == group else 5  # bits that name the decisions made before the group
    # every symbol updates up to 2 * bits slots of an order: room for twice as many, up to the limit
    log_slots = min(_LOG_TABLE, max(16, (16 * len(symbols)).bit_length()))
    logs = np.array([min(order * mixer.bits + prefix + group, log_slots) for order in mixer.orders])
    direct = logs == np.array(mixer.orders) * mixer.bits + prefix + group
    return _mix(
        symbols,
        mixer.bits,
        group,
        prefix,
        np.array(mixer.orders),
        1.0 / np.minimum(np.arange(1024) + 1.5, np.array(mixer.memory)[:, None]),
        logs,
        direct,
        np.concatenate([[0], np.cumsum(1 << logs)]),
        mixer.match,
        mixer.rate,
        _STRETCH,
        _BUCKET,
    )


@numba.njit(cache=True)
def _group_of(context: Any, order: Any, prefix_bits: Any, prefix: Any, direct: Any, log_groups: Any) -> Any:
    """Index of the group of slots of a context (and the decisions before it), and its 8-bit check."""
    if direct:
        return np.int64(context << np.uint64(prefix_bits)) + prefix, np.uint32(0)
    key = (context + np.uint64(order)) * _HASH
    key = ((key ^ (key >> np.uint64(29))) + np.uint64(prefix)) * _HASH
    check = np.uint32((key >> np.uint64(56 - log_groups)) & np.uint64(255))
    return np.int64(key >> np.uint64(64 - log_groups)), check


@numba.njit(cache=True)
def _read(slot: Any, direct: Any, check: Any) -> Any:
    """Probability of a 1 (in units of 2**-22) and number of updates; fresh where the check differs."""
    if slot == 0:
        return 1 << 21, 0
    if direct:  # probability 22, updates 10
        return np.int64(slot >> np.uint32(10)), np.int64(slot & np.uint32(1023))
    if ((slot >> np.uint32(8)) & np.uint32(255)) != check:  # probability 16, check 8, updates 8
        return 1 << 21, 0
    return np.int64(slot >> np.uint32(16)) << 6, np.int64(slot & np.uint32(255))


@numba.njit(cache=True)
def _learn(slots: Any, at: Any, bit: Any, direct: Any, check: Any, rates: Any) -> None:
    """Move the probability of a slot towards the decision that was taken."""
    p, n = _read(slots[at], direct, check)
    target = (1 << 22) - 1 if bit else 0
    p = min(max(p + np.int64((target - p) * rates[n]), 64), (1 << 22) - 65)
    if direct:
        slots[at] = np.uint32((p << 10) | min(n + 1, 1023))
    else:
        slots[at] = np.uint32(((p >> 6) << 16) | (np.int64(check) << 8) | min(n + 1, 255))


@numba.njit(cache=True)
def _match_length(symbols: Any, t: int, candidate: int) -> int:
    """How many symbols before ``candidate`` equal those up to t, 32 at most."""
    length = 0
    while length < 32 and candidate - 1 - length >= 0 and symbols[candidate - 1 - length] == symbols[t - length]:
        length += 1
    return length


@numba.njit(cache=True, fastmath=True, nogil=True)
def _mix(
    symbols: Any, bits: int, group: int, prefix_bits: int, orders: Any, rates: Any, logs: Any, direct: Any,
    offsets: Any, match: int, final_rate: float, stretch: Any, buckets: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    n, n_orders = len(symbols), len(orders)
    n_inputs = n_orders + 2  # the match and a bias
    costs = np.zeros(n, np.float32)
    slots = np.zeros(offsets[-1], np.uint32)
    base, check = np.zeros(n_orders, np.int64), np.zeros(n_orders, np.uint32)
    # matches: where each context was seen last, and one running match
    log_seen = 16
    while log_seen < 24 and (1 << log_seen) < 2 * n:
        log_seen += 1
    seen = np.full(1 << log_seen, -1, np.int64)
    shift_seen, match_mask = np.uint64(64 - log_seen), np.uint64((1 << (bits * match)) - 1)
    pointer, length, misses, state = 0, 0, 0, 0
    trust = np.full((2, 16 * 17), 0.9)
    # weights: by the input's number of updates, by the state of the match, by the decisions so far
    inputs, bucket = np.zeros(n_inputs), np.zeros(n_inputs, np.int64)
    by_updates = np.full((n_inputs, 17), 0.3)
    by_match, by_node = np.zeros((16, n_inputs)), np.zeros((1 << bits, n_inputs))
    inputs[n_inputs - 1] = 0.3  # a bias
    past = np.uint64(0)  # last symbols, newest in the low bits
    width = np.uint64(bits)
    for t in range(n):
        symbol = np.int64(symbols[t])
        rate = max(final_rate, 0.02 / np.sqrt(1.0 + t / 3000.0))
        best, guess = 0, -1
        if length > 0:
            guess = int(symbols[pointer])
            recent, missed = misses, 0
            while recent:
                recent &= recent - 1
                missed += 1
            long = length // 2 if length < 16 else 8 + (length - 16) // 32
            state = min(long, 15) * 17 + missed
            best = 1 + min(long, 14)
        cost, node = 0.0, np.int64(1)
        for depth in range(bits):
            bit = (symbol >> (bits - 1 - depth)) & 1
            if depth % group == 0:
                top, start = node if depth else 0, depth
                for i in range(n_orders):
                    context = past & ((np.uint64(1) << np.uint64(bits * orders[i])) - np.uint64(1))
                    at, check[i] = _group_of(context, orders[i], prefix_bits, top, direct[i], logs[i] - group)
                    base[i] = offsets[i] + (at << group)
            inner = node & ((1 << (depth - start)) - 1) | (1 << (depth - start))
            for i in range(n_orders):
                p, updates = _read(slots[base[i] + inner], direct[i], check[i])
                inputs[i] = stretch[p >> 10]
                bucket[i] = buckets[updates]
            inputs[n_orders], bucket[n_orders] = 0.0, 0
            if guess >= 0 and (guess | (1 << bits)) >> (bits - depth) == node:
                q = trust[min(depth, 1), state]
                inputs[n_orders] = stretch[np.int64(q * 4096)]
                bucket[n_orders] = 1 + np.int64(q * 16)
                if not (guess >> (bits - 1 - depth)) & 1:
                    inputs[n_orders] = -inputs[n_orders]
            total = 0.0
            for i in range(n_inputs):
                total += (by_updates[i, bucket[i]] + by_match[best, i] + by_node[node, i]) * inputs[i]
            p_one = min(max(1.0 / (1.0 + np.exp(-total)), _P_LIMIT), 1.0 - _P_LIMIT)
            cost -= np.log2(p_one if bit else 1.0 - p_one)
            error = (bit - p_one) * rate
            for i in range(n_inputs):
                step = error * inputs[i]
                by_updates[i, bucket[i]] += step
                by_match[best, i] += 0.5 * step
                by_node[node, i] += 0.5 * step
            for i in range(n_orders):
                _learn(slots, base[i] + inner, bit, direct[i], check[i], rates[i])
            if bucket[n_orders] > 0:
                right = (inputs[n_orders] > 0) == (bit == 1)
                old = trust[min(depth, 1), state]
                trust[min(depth, 1), state] = old + 0.006 * ((0.9998 if right else 0.0002) - old)
            node = 2 * node + bit
        costs[t] = cost
        past = (past << width) | np.uint64(symbol)
        if length > 0:
            hit = guess == symbol
            misses = ((misses << 1) | (0 if hit else 1)) & 0xFFFF
            length = length + 1 if hit else max(1, length // 4)
            pointer += 1
            recent, missed = misses, 0
            while recent:
                recent &= recent - 1
                missed += 1
            if missed > 8:
                length = 0
        if t + 1 < match:
            continue
        home = np.int64(((past & match_mask) * _HASH) >> shift_seen)
        if length < 16:
            found = seen[home]
            if found >= 0:
                same = _match_length(symbols, t, found)
                if same >= match and same > length:
                    pointer, length, misses = found, same, 0
        seen[home] = t + 1
    return costs
