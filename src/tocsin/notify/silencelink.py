"""The link in a message that opens the dashboard's silence form, filled with what the message is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_LONGEST = 1500
"""Of the whole link: buttons of Slack and Teams take 3,000, and a mail client breaks long ones."""


def silence_url(base: str, labels: Mapping[str, str]) -> str:
    """`<base>/silences?m=name="value"&m=...` for the labels that the alerts share; empty without a base or labels.

    Severity is left out, as in the dashboard's own form. What does not fit is left out from the end: fewer matchers cover more,
    and the form shows how many before anything is silenced.
    """
    names = sorted(
        (name for name in labels if name != "severity" and not name.startswith("__") and _NAME.fullmatch(name)),
        key=lambda name: (name != "alertname", name),
    )
    matchers: list[tuple[str, str]] = []
    for name in names:
        more = [*matchers, ("m", f'{name}="{_quoted(labels[name])}"')]
        if len(base) + len(urlencode(more)) > _LONGEST:
            break
        matchers = more
    return f"{base}/silences?{urlencode(matchers)}" if base and matchers else ""


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
