"""CRC-32C (Castagnoli), the checksum of Prometheus's blocks and chunked answers. In numpy: about 100 MB/s, no library.

A CRC without its first and last XOR is linear: the data is cut into lanes of `_LANE` bytes whose CRCs are made side by side,
and two neighbours join as (left, then as many zero bytes as right is long) XOR right.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

UInt32 = npt.NDArray[np.uint32]
_POLYNOMIAL = 0x82F63B78
_LANE = 256
_SMALL = 8192
_BYTE = np.uint32(0xFF)
_EIGHT = np.uint32(8)


@lru_cache(maxsize=1)
def _table() -> UInt32:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


@lru_cache(maxsize=1)
def _plain_table() -> tuple[int, ...]:
    return tuple(_table().tolist())


@lru_cache(maxsize=64)
def _zeros(count: int) -> UInt32:
    """What `count` zero bytes (a power of two) make of a CRC, by each value of each of its bytes: uint32 [4, 256]."""
    states = np.arange(256, dtype=np.uint32) << (_EIGHT * np.arange(4, dtype=np.uint32))[:, None]
    if count == 1:
        return np.asarray(_table()[states & _BYTE] ^ states >> _EIGHT)
    half = _zeros(count // 2)
    return _through(half, _through(half, states))


def _through(operator: UInt32, states: UInt32) -> UInt32:
    parts = [operator[place][states >> np.uint32(8 * place) & _BYTE] for place in range(4)]
    return np.asarray(parts[0] ^ parts[1] ^ parts[2] ^ parts[3])


def crc32c(data: bytes) -> int:
    """The checksum of `data`."""
    if len(data) < _SMALL:
        known, state = _plain_table(), 0xFFFFFFFF
        for byte in data:
            state = known[(state ^ byte) & 0xFF] ^ state >> 8
        return state ^ 0xFFFFFFFF
    table = _table()
    lanes = 1 << max((len(data) - 1) // _LANE, 0).bit_length()
    # Zeros in front do not change a CRC that starts at zero; the usual start is an XOR of the first four bytes.
    padded = np.zeros(lanes * _LANE, np.uint8)
    padded[lanes * _LANE - len(data) :] = np.frombuffer(data, np.uint8)
    padded[lanes * _LANE - len(data) :][:4] ^= 0xFF
    states = np.zeros(lanes, np.uint32)
    for column in np.ascontiguousarray(padded.reshape(lanes, _LANE).T):
        states = table[(states ^ column) & _BYTE] ^ states >> _EIGHT
    length = _LANE
    while len(states) > 1:
        states = _through(_zeros(length), states[0::2]) ^ states[1::2]
        length *= 2
    return int(states[0]) ^ 0xFFFFFFFF
