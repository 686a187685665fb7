"""When a rule group is evaluated: on its own phase of the wall clock, so that groups are spread over their interval."""

from __future__ import annotations

import hashlib

from tocsin.model.rule import RuleGroup


def slot_at(group: RuleGroup, now_ms: int) -> int:
    """The last evaluation time of the group that is not after now: groups are spread over their interval by their name."""
    digest = hashlib.sha256(group.key.encode()).digest()
    offset_ms = int.from_bytes(digest[:8], "big") % group.interval_ms
    return (now_ms - offset_ms) // group.interval_ms * group.interval_ms + offset_ms


def next_slot(group: RuleGroup, now_ms: int) -> int:
    """The first evaluation time of the group after now."""
    return slot_at(group, now_ms) + group.interval_ms
