"""What a check may use of the world: connections whose phases are measured, and clocks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tocsin.collect.network import ArrivalReader, Network
from tocsin.collect.outcome import ProbeError
from tocsin.collect.tls import TlsOptions, client_context, facts_of, handshake
from tocsin.collect.tunnel import Tunnel, address_of, tunnel
from tocsin.model.check import CheckReason, Phase
from tocsin.model.egress import literal_address


@dataclass(slots=True)
class Trace:
    """What a run has seen so far; kept when the run is cut short, so that a timeout says where it happened."""

    phases: list[Phase] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    doing: str = "starting"
    watch: Callable[[], None] | None = None
    """Called whenever a phase begins or ends: somebody follows this run."""

    def moved(self) -> None:
        if self.watch is not None:
            self.watch()


@dataclass(slots=True)
class Connection:
    """An open connection to an address that was judged."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str
    port: int
    through: str = ""
    """The proxy that passes it on; empty = none."""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        found: ssl.SSLObject | None = self.writer.get_extra_info("ssl_object")
        return found

    def close(self) -> None:
        """At once: a probe owes nobody a goodbye, and a hung peer must not keep it."""
        self.writer.transport.abort()


class Io:
    """One run's door to the world."""

    def __init__(self, network: Network, trace: Trace, *, timeout_s: float) -> None:
        self.network = network
        self.trace = trace
        self.timeout_s = timeout_s
        self._reader: ArrivalReader | None = None

    def now_ms(self) -> int:
        return self.network.clock.now_ms()

    def monotonic_s(self) -> float:
        return self.network.clock.monotonic_s()

    def waited_ms(self) -> float:
        """All phases so far."""
        return sum(phase.ms for phase in self.trace.phases)

    @contextmanager
    def phase(self, name: str, doing: str = "") -> Iterator[None]:
        """Measure a phase; it is recorded also when it fails or is cut short.

        It ends when the last bytes of our connection arrived, not when our task got its turn: that wait is ours.
        """
        self.trace.doing = doing or name
        self.trace.moved()
        start_s = end_s = self.monotonic_s()
        try:
            yield
            end_s = self._reader.arrived_s if self._reader is not None else 0.0
        finally:
            self.trace.phases.append(Phase(name, ((end_s if end_s > start_s else self.monotonic_s()) - start_s) * 1000))
            self.trace.moved()

    async def resolve(self, host: str, *, ip: str = "any") -> list[str]:
        """Addresses of `host` in the system's order; `ip` any | 4 | 6. Raises ProbeError."""
        if refusal := self.network.egress.refusal_of_name(host):
            raise ProbeError(CheckReason.FORBIDDEN_TARGET, refusal)
        with self.phase("resolve", f"resolving {host}"):
            addresses = await self.network.resolve(host, ip=ip)
        self.trace.facts["addresses"] = addresses[:10]
        return addresses

    def judge(self, addresses: list[str]) -> list[str]:
        """Those that may be connected to. Raises ProbeError when none may: the judged address is the one that is used."""
        refusals = [(address, self.network.egress.refusal(address)) for address in addresses]
        allowed = [address for address, refusal in refusals if not refusal]
        if not allowed:
            raise ProbeError(CheckReason.FORBIDDEN_TARGET, refusals[0][1] if refusals else "the name has no address")
        return allowed

    async def connect(self, host: str, port: int, *, tls: TlsOptions | None = None, ip: str = "any") -> Connection:
        """Resolve, judge, connect (addresses in order), and with `tls` shake hands. Raises OSError, ssl.SSLError, ProbeError."""
        addresses = self.judge(await self.resolve(host, ip=ip))
        with self.phase("connect", f"connecting to {addresses[0]}:{port}"):
            connection = await self._dial(addresses, port)
        self.trace.facts["address"] = f"{connection.address}:{connection.port}"
        if tls is not None:
            await self.start_tls(connection, tls, host)
        return connection

    async def connect_through(
        self, proxy: str, host: str, port: int, *, tls: TlsOptions | None, proxy_tls: TlsOptions, whole: bool
    ) -> Connection:
        """By a proxy, which resolves the name: judged is what can be, a name or a literal address.

        `whole`: requests are given to the proxy as they are, without a tunnel. Raises as `connect`.
        """
        literal = literal_address(host)
        refusal = self.network.egress.refusal(literal) if literal else self.network.egress.refusal_of_name(host)
        if refusal:
            raise ProbeError(CheckReason.FORBIDDEN_TARGET, refusal)
        server, server_port = address_of(proxy)
        connection = await self.connect(server, server_port, tls=proxy_tls if proxy.startswith("https:") else None)
        connection.through = self.trace.facts["proxy"] = f"{server}:{server_port}"
        self.trace.facts.pop("tls", None)  # the proxy's, not the target's
        if not whole:
            with self.phase("proxy", f"asking the proxy {connection.through} for {host}:{port}"):
                await _open(tunnel(proxy, host, port), connection)
        if tls is not None:
            await self.start_tls(connection, tls, host)
        return connection

    async def start_tls(self, connection: Connection, options: TlsOptions, host: str) -> None:
        """TLS on an open connection; certificate facts go to the trace whether the chain is trusted or not."""
        server_name = options.server_name or host
        try:
            with self.phase("tls", f"shaking hands with {connection.address}:{connection.port}"):
                await handshake(connection.writer, client_context(options), server_name)
        except ssl.SSLCertVerificationError:
            connection.close()
            if not connection.through:
                await self._facts_of_untrusted(connection, options, server_name)
            raise
        except BaseException:
            connection.close()
            raise
        self.trace.facts["tls"] = facts_of(connection.ssl_object)

    async def _facts_of_untrusted(self, connection: Connection, options: TlsOptions, server_name: str) -> None:
        # OpenSSL shows nothing of a chain it refused: ask again without judging, so that an expired certificate has its dates.
        try:
            again = await self._dial([connection.address], connection.port)
        except OSError:
            return
        try:
            await handshake(again.writer, client_context(options, verify=False), server_name)
            self.trace.facts["tls"] = facts_of(again.ssl_object)
        except OSError:
            return
        finally:
            again.close()

    async def _dial(self, addresses: list[str], port: int) -> Connection:
        problem: OSError | None = None
        for address in addresses:
            try:
                reader, writer = await self.network.open(address, port)
            except OSError as error:
                problem = problem or error
                continue
            self._reader = reader
            return Connection(reader, writer, address, port)
        assert problem is not None
        raise problem


async def _open(conversation: Tunnel, connection: Connection) -> None:
    """Talk to the proxy until the target listens."""
    say = conversation.begin()
    while not conversation.opened:
        if say:
            await connection.send(say)
        data = await connection.reader.read(4096)
        if not data:
            raise ConnectionResetError("the proxy closed the connection")
        say = conversation.take(data)
