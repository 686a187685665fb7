"""A store in memory, a clock that tests move, and small servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tocsin.clock import SystemClock
from tocsin.collect.catalog import parse_check
from tocsin.collect.network import Network
from tocsin.collect.probe import Prober
from tocsin.model.check import CheckResult
from tocsin.model.labels import Labels
from tocsin.model.ports import AppendResult
from tocsin.model.series import Batch, Float64, Int64, is_stale


class MemoryWriter:
    """The store's door, remembering everything: `samples[labels] = [(t_ms, value), ...]`, a stale end is None."""

    def __init__(self) -> None:
        self.known: list[Labels] = []
        self.index: dict[Labels, int] = {}
        self.samples: dict[Labels, list[tuple[int, float | None]]] = {}
        self.grids: dict[Labels, list[int]] = {}
        self.metadata: dict[str, tuple[str, str, str]] = {}
        self.refused: Callable[[Labels], bool] = lambda labels: False
        self.dropped = False

    def refs(self, labels: Sequence[Labels]) -> Int64:
        out = []
        for entry in labels:
            if self.refused(entry):
                out.append(-1)
                continue
            if entry not in self.index:
                self.index[entry] = len(self.known)
                self.known.append(entry)
            out.append(self.index[entry])
        self.dropped = False
        return np.array(out, np.int64)

    def append_refs(self, refs: Int64, t_ms: int, values: Float64, *, grid_ms: int = 0) -> AppendResult:
        if self.dropped:
            raise KeyError("dropped")
        stale = is_stale(np.asarray(values, np.float64))
        for ref, value, ended in zip(refs.tolist(), values.tolist(), stale.tolist(), strict=True):
            labels = self.known[ref]
            self.samples.setdefault(labels, []).append((t_ms, None if ended else value))
            self.grids.setdefault(labels, []).append(grid_ms)
        return AppendResult(len(refs), {})

    def append(self, batch: Batch) -> AppendResult:
        for i, labels in enumerate(batch.labels):
            self.append_refs(self.refs([labels]), int(batch.t_ms[i]), batch.value[i : i + 1])
        return AppendResult(len(batch.labels), {})

    def set_metadata(self, metric: str, kind: str, help_text: str, unit: str = "") -> None:
        self.metadata[metric] = (kind, help_text, unit)

    def series(self, name: str, **labels: str) -> list[tuple[int, float | None]]:
        """Samples of the only series with this name and these labels."""
        found = [
            v for k, v in self.samples.items() if k.get("__name__") == name and all(k.get(a) == b for a, b in labels.items())
        ]
        assert len(found) == 1, f"{len(found)} series match {name} {labels}: {[str(k) for k in self.samples]}"
        return found[0]

    def names(self) -> set[str]:
        return {labels.get("__name__") for labels in self.samples}


@dataclass
class ManualClock:
    """Time stands still until a test moves it; sleepers wake when it passes them."""

    t_ms: int = 1_700_000_000_000
    _sleepers: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)

    def now_ms(self) -> int:
        return self.t_ms

    def monotonic_s(self) -> float:
        return self.t_ms / 1000

    async def sleep_until_ms(self, t_ms: int) -> None:
        if t_ms <= self.t_ms:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((t_ms, future))
        await future

    async def advance(self, ms: int, *, step_ms: int = 0) -> None:
        """Move on, in steps, letting everything that wakes run."""
        end_ms = self.t_ms + ms
        while self.t_ms < end_ms:
            due = min((t for t, f in self._sleepers if not f.done()), default=end_ms)
            self.t_ms = min(max(due, self.t_ms), end_ms, self.t_ms + step_ms if step_ms else end_ms)
            await self.settle()
            if due > end_ms:
                self.t_ms = end_ms
        await self.settle()

    async def settle(self) -> None:
        for t_ms, future in self._sleepers:
            if t_ms <= self.t_ms and not future.done():
                future.set_result(None)
        self._sleepers = [(t, f) for t, f in self._sleepers if not f.done()]
        for _ in range(30):
            await asyncio.sleep(0)


class SteadyRandom:
    def random(self) -> float:
        return 0.0

    def randbytes(self, n: int) -> bytes:
        return b"\x00" * n


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Servers:
    """Starts servers on free loopback ports; all end with the test."""

    _running: list[asyncio.Server] = field(default_factory=list)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def start(self, handler: Handler, *, tls: ssl.SSLContext | None = None) -> int:
        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError):
                pass
            finally:
                self._tasks.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
        self._running.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        for server in self._running:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def http_answer(body: bytes = b"ok", status: str = "200 OK", headers: Sequence[str] = ()) -> Handler:
    """A server that reads a request's head and answers this, then closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return handle


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts and never says a word."""
    await asyncio.sleep(3600)


async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts and closes at once."""


@dataclass(frozen=True)
class Pki:
    """An authority and certificates signed by it, as files."""

    folder: Path
    ca: Path
    good: tuple[Path, Path]
    expired: tuple[Path, Path]
    soon: tuple[Path, Path]
    named: tuple[Path, Path]
    """For localhost only, by name."""

    def context(self, pair: tuple[Path, Path]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair[0], pair[1])
        return context


def _certificate(
    name: str, days: float, issuer: tuple[Any, Any] | None, *, ca: bool = False, address: str = "127.0.0.1"
) -> tuple[Any, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        import ipaddress

        addresses = [x509.IPAddress(ipaddress.ip_address(address))] if address else []
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses]), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def make_pki(folder: Path) -> Pki:
    """An authority and three certificates for localhost and 127.0.0.1."""
    root = _certificate("Test Authority", 3650, None, ca=True)

    def write(name: str, pair: tuple[Any, Any]) -> tuple[Path, Path]:
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(pair[0].public_bytes(serialization.Encoding.PEM))
        key.write_bytes(
            pair[1].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return cert, key

    ca = write("ca", root)[0]
    return Pki(
        folder,
        ca,
        write("good", _certificate("localhost", 365, root)),
        write("expired", _certificate("localhost", -2, root)),
        write("soon", _certificate("localhost", 3, root)),
        write("named", _certificate("localhost", 365, root, address="")),
    )


def chain_of(folder: Path, length: int) -> tuple[Path, Path, Path]:
    """Root, chain file (leaf first) and the leaf's key: each certificate signed by the next."""
    issuer: tuple[Any, Any] | None = None
    made: list[Any] = []
    now = datetime.now(UTC)
    for i in range(length):
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = i == length - 1
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost" if leaf else f"Authority {i}")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer[0].subject if issuer else name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=not leaf, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        issuer = (builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key)
        made.append(issuer)
    pem = serialization.Encoding.PEM
    root, chain, key_file = folder / "root.pem", folder / "chain.pem", folder / "leaf.key"
    root.write_bytes(made[0][0].public_bytes(pem))
    chain.write_bytes(b"".join(certificate.public_bytes(pem) for certificate, _ in reversed(made[1:])))
    key_file.write_bytes(made[-1][1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return root, chain, key_file


class FakeProxy:
    """An HTTP proxy that remembers what it was asked; with `signed_in` refuses who is not `ana`."""

    def __init__(self, *, signed_in: bool = False) -> None:
        self.heads: list[str] = []
        self._signed_in = signed_in

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self._signed_in and f"Basic {base64.b64encode(b'ana:right').decode()}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        method, target = head.split(" ")[:2]
        host, port = target.removeprefix("http://").split("/")[0].split(":")
        there_reader, there = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            there.write(head.encode())
        await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))


class FakeSocks:
    """A SOCKS 5 proxy that remembers where it was asked to go; with `signed_in` refuses who is not `ana`; answers `code`."""

    def __init__(self, *, signed_in: bool = False, code: int = 0) -> None:
        self.asked: list[tuple[int, bytes]] = []
        self._signed_in, self._code = signed_in, code

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = await reader.readexactly((await reader.readexactly(2))[1])
        if self._signed_in:
            writer.write(b"\x05\x02" if 2 in methods else b"\x05\xff")
            user = await reader.readexactly((await reader.readexactly(2))[1])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            good = (user, password) == (b"ana", b"right")
            writer.write(b"\x01\x00" if good else b"\x01\x01")
        else:
            writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        host = await reader.readexactly((await reader.readexactly(1))[0] if kind == 3 else 4)
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append((kind, host))
        writer.write(b"\x05" + bytes([self._code]) + b"\x00\x01\x00\x00\x00\x00\x00\x00")
        if self._code == 0:
            name = host.decode() if kind == 3 else ".".join(str(part) for part in host)
            there_reader, there = await asyncio.open_connection(name, port)
            await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(4096):
        sink.write(data)
        await sink.drain()
    sink.transport.abort()


async def run_once(raw: dict[str, Any], network: Network | None = None) -> CheckResult:
    """Execute a check as an operator would declare it, once."""

    async def nobody(_results: object) -> None:
        return None

    clock = SystemClock()
    prober = Prober(clock=clock, random=SteadyRandom(), io=network or Network(clock=clock), report=nobody)
    spec = parse_check({"name": "it", "timeout": "500ms", **raw})
    prober.apply([spec])
    result = await prober.run_now(spec.id, "run-1", by="ana", report=False)
    assert result is not None
    return result


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.asynccontextmanager
async def running(coroutine: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """Run a loop beside the test."""
    task = asyncio.ensure_future(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
