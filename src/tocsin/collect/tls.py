"""TLS of probes: contexts, the handshake, and what a certificate says."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509

_MOST_CERTIFICATES = 10


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to speak TLS. Files are paths of PEM files; empty = the system's authorities, no client certificate."""

    server_name: str = ""
    verify: bool = True
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    alpn: tuple[str, ...] = ()


# Loading the system's authorities takes 10-30 ms: never per connection.
@lru_cache(maxsize=256)
def client_context(options: TlsOptions, *, verify: bool = True) -> ssl.SSLContext:
    """Raises OSError or ssl.SSLError where files cannot be used."""
    context = ssl.create_default_context(cafile=options.ca_file or None)
    if not (verify and options.verify):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.certificate_file:
        context.load_cert_chain(options.certificate_file, options.key_file or None)
    if options.alpn:
        context.set_alpn_protocols(list(options.alpn))
    return context


@lru_cache(maxsize=256)
def named_context(options: TlsOptions, server_name: str) -> ssl.SSLContext:
    """For a driver that is given the judged address and would have the certificate name that: it must name `server_name`."""
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = server_name
    if options.ca_file:
        context.load_verify_locations(options.ca_file)
    else:
        context.load_default_certs()
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Named(ssl.SSLContext):
    server_name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


async def handshake(writer: asyncio.StreamWriter, context: ssl.SSLContext, server_name: str) -> None:
    """Upgrade an open stream. The prober's own timeout ends it, so the loop's is only a far fence."""
    await writer.start_tls(context, server_hostname=server_name, ssl_handshake_timeout=120)


def facts_of(tls: ssl.SSLObject | None) -> dict[str, Any]:
    """Version, cipher and chain of an established session, as JSON values. Times are ms."""
    if tls is None:
        return {}
    cipher = tls.cipher()
    chain = [certificate_facts(der) for der in _chain(tls)[:_MOST_CERTIFICATES]]
    return {
        "version": tls.version() or "",
        "cipher": cipher[0] if cipher else "",
        "alpn": tls.selected_alpn_protocol() or "",
        "chain": chain,
        "earliest_expiry_ms": min((entry["not_after_ms"] for entry in chain), default=0),
        "last_expiry_ms": max((entry["not_after_ms"] for entry in chain), default=0),
    }


def _chain(tls: ssl.SSLObject) -> list[bytes]:
    """The chain the server sent, DER. Public only from Python 3.13; before, the C object underneath has it."""
    inner = getattr(tls, "_sslobj", None)
    try:
        if hasattr(tls, "get_unverified_chain"):
            return list(tls.get_unverified_chain())
        if inner is not None:
            return [entry.public_bytes(2) for entry in inner.get_unverified_chain() or []]  # 2 = DER
    except (AttributeError, ValueError, ssl.SSLError):
        pass
    leaf = tls.getpeercert(binary_form=True)
    return [leaf] if leaf else []


def certificate_facts(der: bytes) -> dict[str, Any]:
    """What people want to know of a certificate. Never raises: an unreadable one says so."""
    from cryptography import x509  # 8 MB in every process, if it were loaded before a certificate comes

    try:
        certificate = x509.load_der_x509_certificate(der)
        return {
            "subject": certificate.subject.rfc4514_string()[:300],
            "issuer": certificate.issuer.rfc4514_string()[:300],
            "names": _names(certificate)[:50],
            "not_before_ms": int(certificate.not_valid_before_utc.timestamp() * 1000),
            "not_after_ms": int(certificate.not_valid_after_utc.timestamp() * 1000),
            "serial": f"{certificate.serial_number:x}",
            "sha256": hashlib.sha256(der).hexdigest(),
        }
    except ValueError as error:
        return {"subject": f"unreadable certificate: {error}", "not_before_ms": 0, "not_after_ms": 0}


def _names(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    names = extension.value.get_values_for_type(x509.DNSName)
    return [*names, *(str(ip) for ip in extension.value.get_values_for_type(x509.IPAddress))]
