"""Is it them, or is it us? Before a failure counts, the prober asks targets that were well a moment ago.

A failure that could be the network's (timeout, no route, no name) starts a self-test: up to three other checks on other hosts
whose last verdict was good are run at once. When two thirds of them fail in the same way, the prober is blind: its results say
nothing about anybody and become UNKNOWN. The decision is pure; the prober runs the references.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from tocsin.collect.outcome import Outcome
from tocsin.metrics import Counter, Gauge
from tocsin.model.check import CheckReason, CheckSpec, CheckStatus

blind_gauge = Gauge("tocsin_collect_blind", "1 while the prober's own network fails, so that checks are unknown.", ["location"])
self_tests_total = Counter("tocsin_collect_self_tests_total", "Self-tests of the prober's own network.", ["outcome"])

MOST_REFERENCES = 3
FEWEST_REFERENCES = 2
TIMEOUT_MS = 3_000
FRESH_MS = 5_000
"""A verdict is good for this long: a hundred failures at once need one self-test."""

_NETWORK = (CheckReason.TIMEOUT, CheckReason.UNREACHABLE, CheckReason.DNS)


def may_be_ours(spec: CheckSpec, reason: CheckReason) -> bool:
    """Could this failure be our own network's? A refused connection or a wrong answer proves that the network works."""
    return reason in _NETWORK and not is_local(host_of(spec.settings))


def references(failing: CheckSpec, others: Sequence[tuple[CheckSpec, CheckStatus]]) -> list[str]:
    """Ids of checks to ask: other hosts, each once, last verdict good, the most recently seen first."""
    taken = {host_of(failing.settings)}
    out: list[str] = []
    for spec, status in sorted(others, key=lambda entry: -entry[1].last_ok_ms):
        host = host_of(spec.settings)
        good = status.last_ok_ms and not status.consecutive_failures and not spec.paused
        if good and host and host not in taken and not is_local(host):
            taken.add(host)
            out.append(spec.id)
        if len(out) == MOST_REFERENCES:
            break
    return out


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Why the prober is blind; empty = it sees, or too few references can tell."""
    failed = sum(1 for outcome in outcomes if not outcome.ok and outcome.reason in _NETWORK)
    if len(outcomes) < FEWEST_REFERENCES or 3 * failed < 2 * len(outcomes):
        return ""
    return f"{failed} of {len(outcomes)} other targets that were well also cannot be reached: the monitor's own network fails"


def host_of(settings: Mapping[str, Any]) -> str:
    """The host a check talks to; empty where it talks to none."""
    if url := settings.get("url"):
        return urlsplit(str(url)).hostname or ""
    return str(settings.get("host") or settings.get("server") or settings.get("name") or "").lower()


def is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")
