"""Whether a thing is still as a person looked at it: its mark goes with the command, and is compared where the thing is changed.

`seen` of a command's arguments are the marks that `If-Match` named (web/match.py); left out = whatever it is now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tocsin.errors import CommandError
from tocsin.model.check import CheckState

CHANGED = "somebody changed this since you looked; look again, then say once more what you want"


def mark_of(*changeable: Any) -> str:
    """The mark of a thing by everything a person may change of it (JSON values)."""
    return hashlib.blake2b(orjson.dumps(changeable, option=orjson.OPT_NON_STR_KEYS), digest_size=9).hexdigest()


def check_mark(spec: Mapping[str, Any]) -> str:
    """Of a row of `check.list`: what people change of a check is its definition, and whether it is paused."""
    paused = bool(spec.get("paused")) or spec.get("state") == CheckState.PAUSED
    return mark_of(paused, *(spec.get(name) for name in ("name", "type", "settings", "every_ms", "failures", "labels")))


def hold(seen: Sequence[str], now: str) -> None:
    """Raises CommandError 412 when the marks that were `seen` are not that of the thing as it is `now`."""
    if seen and now not in seen:
        raise CommandError(412, "changed_meanwhile", CHANGED)


def hold_version(seen: Any, now: int, what: str) -> None:
    """The same by a number that every change counts up. Raises CommandError 412; `seen` None = whatever it is now."""
    if seen is not None and int(seen) != now:
        raise CommandError(412, "changed_meanwhile", f"somebody changed this {what} since you looked; look again")
