"""What a certificate means for a check: expiry as a verdict, facts as samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, Sample, degraded
from tocsin.model.check import CheckReason
from tocsin.model.duration import human_duration


def expiry_outcome(io: Io, warning_ms: int, said: str, facts: Mapping[str, Any], samples: tuple[Sample, ...]) -> Outcome | None:
    """Degraded when a certificate of the chain expires within `warning_ms`; None = nothing to say."""
    expiry_ms = io.trace.facts.get("tls", {}).get("earliest_expiry_ms", 0)
    left_ms = expiry_ms - io.now_ms()
    if not expiry_ms or not warning_ms or left_ms > warning_ms:
        return None
    text = f"{said}, but the certificate expires in {human_duration(max(left_ms, 0))}"
    return degraded(CheckReason.CERTIFICATE_EXPIRES_SOON, text, facts, samples)


def tls_samples(tls: Mapping[str, Any] | None) -> tuple[Sample, ...]:
    """blackbox_exporter's series about TLS, from the facts of a session."""
    if not tls:
        return ()
    return (
        ("probe_http_ssl", {}, 1.0),
        ("probe_ssl_earliest_cert_expiry", {}, tls["earliest_expiry_ms"] / 1000),
        ("probe_ssl_last_chain_expiry_timestamp_seconds", {}, tls["last_expiry_ms"] / 1000),
        ("probe_tls_version_info", {"version": tls["version"]}, 1.0),
    )
