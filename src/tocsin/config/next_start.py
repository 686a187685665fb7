"""What a reload cannot change: said when it is read, rather than found out later."""

from __future__ import annotations

from tocsin.config.config import Config
from tocsin.errors import Place, Problem

_AT_ONCE = {"exemplar-storage"}
"""Features that a reload turns on and off."""


def from_next_start(running: Config, read: Config) -> tuple[Problem, ...]:
    """A warning for each setting of `read` that counts only from the next start; `running` is what the core was started with."""
    changed = {
        "enable_features": {*running.features} - _AT_ONCE != {*read.features} - _AT_ONCE,
        "external_url": running.external_url != read.external_url,
        "host": running.host_every_ms != read.host_every_ms,
        "source": running.source != read.source,
    }
    file = read.files[0] if read.files else ""
    text = "this change counts from the next start of Tocsin; everything else is in force now"
    return tuple(Problem(Place(file), key, text, warning=True) for key, differs in changed.items() if differs)
