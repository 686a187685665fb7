"""What a check saw, before the prober adds when and which; and errors of the world as values."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

Sample = tuple[str, Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Verdict, reason and evidence of one execution. `degraded`: it answered, but not as it should (ok stays True)."""

    ok: bool
    reason: CheckReason
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    degraded: bool = False
    unknown: bool = False


def passed(message: str, facts: Mapping[str, Any] | None = None, samples: tuple[Sample, ...] = ()) -> Outcome:
    return Outcome(True, CheckReason.OK, message, facts or {}, samples)


def failed(
    reason: CheckReason, message: str, facts: Mapping[str, Any] | None = None, samples: tuple[Sample, ...] = ()
) -> Outcome:
    return Outcome(False, reason, message, facts or {}, samples)


def degraded(
    reason: CheckReason, message: str, facts: Mapping[str, Any] | None = None, samples: tuple[Sample, ...] = ()
) -> Outcome:
    return Outcome(True, reason, message, facts or {}, samples, degraded=True)


def slow(limit_ms: int, took_ms: float, said: str, facts: Mapping[str, Any], samples: tuple[Sample, ...] = ()) -> Outcome | None:
    """Degraded when it took longer than `limit_ms` (0 = no limit); None = nothing to say."""
    if not limit_ms or took_ms <= limit_ms:
        return None
    return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(limit_ms)}", facts, samples)


def unsupported(message: str, facts: Mapping[str, Any] | None = None) -> Outcome:
    """This machine cannot run the check: never "down"."""
    return Outcome(False, CheckReason.UNSUPPORTED, message, facts or {}, unknown=True)


class ProbeError(Exception):
    """The run ends here with this reason; raised by what checks are built from, turned into an `Outcome` once, in the prober."""

    def __init__(self, reason: CheckReason, message: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.facts = facts or {}


_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}


def outcome_of(error: BaseException, facts: Mapping[str, Any] | None = None) -> Outcome:
    """The outcome that an error of the world means. Other exceptions are the programmer's: `internal_error`, judged unknown."""
    facts = facts or {}
    match error:
        case ProbeError():
            return failed(error.reason, str(error), {**facts, **error.facts})
        case ssl.SSLCertVerificationError():
            expired = error.verify_code == 10
            reason = CheckReason.CERTIFICATE_EXPIRED if expired else CheckReason.TLS
            return failed(reason, f"the certificate is not trusted: {error.verify_message}", facts)
        case ssl.SSLError():
            return failed(CheckReason.TLS, f"TLS failed: {error.reason or error}".replace("_", " ").lower(), facts)
        case socket.gaierror():
            return failed(CheckReason.DNS, f"the name does not resolve: {error.strerror or error}", facts)
        case ConnectionRefusedError():
            return failed(CheckReason.REFUSED, "the connection was refused: nothing listens there", facts)
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return failed(CheckReason.RESET, "the connection was reset by the other side", facts)
        case asyncio.IncompleteReadError() | EOFError():
            return failed(CheckReason.PROTOCOL, "the connection was closed before the answer was complete", facts)
        case TimeoutError():
            return failed(CheckReason.TIMEOUT, "no answer in time", facts)
        case OSError() if error.errno in _UNREACHABLE:
            return failed(CheckReason.UNREACHABLE, f"the network or host is unreachable: {error.strerror}", facts)
        case OSError():
            return failed(CheckReason.UNREACHABLE, f"the connection failed: {error.strerror or error}", facts)
        case _:
            text = f"the check itself failed ({type(error).__name__}: {error}); this says nothing about the target"
            return Outcome(False, CheckReason.INTERNAL, text, facts, unknown=True)
