"""Sections, alone and together: what is packed comes back, damage costs one of them, nothing unpacks without end."""

from __future__ import annotations

import cramjam
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.tsdb import sections

LISTED = st.lists(st.tuples(st.integers(1, 9), st.binary(max_size=9000)), max_size=30)


def unpacked(data: bytes) -> list[tuple[int, bytes]]:
    return [(kind, bytes(payload)) for kind, payload in sections.unpack(data, part="test", where="test")]


@given(listed=LISTED)
@settings(max_examples=60, deadline=None)
def test_sections_that_travel_together_come_back(listed: list[tuple[int, bytes]]) -> None:
    assert sorted(unpacked(b"".join(sections.pack_all(listed)))) == sorted(listed)


@given(listed=LISTED, place=st.integers(0, 1 << 20), noise=st.binary(min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_damage_invents_no_section(listed: list[tuple[int, bytes]], place: int, noise: bytes) -> None:
    data = bytearray(b"".join(sections.pack_all(listed)))
    place = min(place, len(data))
    data[place : place + len(noise)] = noise
    assert not [one for one in unpacked(bytes(data)) if one not in listed]


def test_a_section_that_would_unpack_to_a_gigabyte_is_damage() -> None:
    bomb = bytes(cramjam.zstd.compress(bytes(50_000_000), level=1))
    assert unpacked(sections.pack(0xFFFF_FFFF, bomb) + sections.pack(1, b"next")) == [(1, b"next")]
