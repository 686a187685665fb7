"""A host answers echo requests."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Any, Literal

from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.fields import Host, LatencyMs
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, Sample, degraded, failed, passed, unsupported
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_REMEDY = (
    "ICMP sockets are not permitted here: allow them with `sysctl -w net.ipv4.ping_group_range='0 2147483647'` "
    "or give the process CAP_NET_RAW"
)


@check("icmp")
class Icmp(Check):
    """A host answers pings; some may get lost."""

    example = "{name: gateway, icmp: 10.0.0.1}"
    evidence = "address, sent, received, rtt_ms"

    host: Host
    count: int = Field(3, ge=1, le=20, description="echo requests per run, 200 ms apart")
    max_loss: float = Field(0.5, ge=0, lt=1, description="share of lost answers that is still good")
    latency: LatencyMs = Field(0, description="a slower average is degraded, such as < 50ms")
    size: int = Field(56, ge=0, le=1400, description="payload bytes")
    ip: Literal["any", "4", "6"] = "any"

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"host": value}

    @property
    def target(self) -> str:
        return self.host

    async def run(self, io: Io) -> Outcome:
        address = io.judge(await io.resolve(self.host, ip=self.ip))[0]
        try:
            sock, raw = _open(address)
        except PermissionError:
            return unsupported(_REMEDY)
        with sock, io.phase("rtt", f"waiting for echo answers of {address}"):
            times = await self._ping(io, sock, address, raw=raw)
        return self._judge(address, times)

    async def _ping(self, io: Io, sock: socket.socket, address: str, *, raw: bool) -> list[float]:
        """Round trips in ms of the answers that came."""
        # Raw sockets hear everybody's answers: identity and payload tell ours. The kernel sets the identity of datagram ones.
        identity, token = int.from_bytes(os.urandom(2), "big"), os.urandom(8)
        sent: dict[int, float] = {}
        times: list[float] = []
        deadline_s = io.monotonic_s() + io.timeout_s * 0.9
        for sequence in range(1, self.count + 1):
            sent[sequence] = io.monotonic_s()
            # Straight to the socket: uvloop has no sock_sendto, and one small packet does not block.
            sock.sendto(_packet(address, identity, sequence, token, self.size), (address, 0))
            share_s = (deadline_s - io.monotonic_s()) / (self.count - sequence + 1)
            wait_s = min(0.2, share_s) if sequence < self.count else max(deadline_s - io.monotonic_s(), 0.05)
            await self._answers(io, sock, raw, token, sent, times, wait_s, sequence == self.count)
        return times

    async def _answers(
        self,
        io: Io,
        sock: socket.socket,
        raw: bool,
        token: bytes,
        sent: dict[int, float],
        times: list[float],
        wait_s: float,
        last: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(wait_s):
                while sent or not last:
                    data = await loop.sock_recv(sock, 4096)
                    now_s = io.monotonic_s()
                    sequence = _sequence_of(data, token, ipv4_header=raw and sock.family == socket.AF_INET)
                    if sequence in sent:
                        times.append((now_s - sent.pop(sequence)) * 1000)
        except TimeoutError:
            pass

    def _judge(self, address: str, times: list[float]) -> Outcome:
        loss = 1 - len(times) / self.count
        facts = {"sent": self.count, "received": len(times), "rtt_ms": [round(value, 3) for value in times], "address": address}
        samples: list[Sample] = [("probe_icmp_packet_loss_ratio", {}, loss)]
        if not times:
            return failed(CheckReason.TIMEOUT, f"none of {self.count} echo requests was answered", facts, tuple(samples))
        mean = sum(times) / len(times)
        samples.append(("probe_icmp_duration_seconds", {"phase": "rtt"}, mean / 1000))
        said = f"{len(times)} of {self.count} answered, {mean:.1f} ms on average"
        if loss > self.max_loss:
            return failed(CheckReason.TIMEOUT, said, facts, tuple(samples))
        if self.latency and mean > self.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(self.latency)}", facts, tuple(samples))
        return passed(said, facts, tuple(samples))


def _open(address: str) -> tuple[socket.socket, bool]:
    """An ICMP socket and whether it is raw. Raises PermissionError where neither kind is allowed."""
    v6 = ":" in address
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    try:
        sock, raw = socket.socket(family, socket.SOCK_DGRAM, protocol), False
    except OSError:
        sock, raw = socket.socket(family, socket.SOCK_RAW, protocol), True
    sock.setblocking(False)
    return sock, raw


def _packet(address: str, identity: int, sequence: int, token: bytes, size: int) -> bytes:
    kind = 128 if ":" in address else 8
    body = token + bytes(max(size - len(token), 0))
    head = struct.pack("!BBHHH", kind, 0, 0, identity, sequence)
    checksum = 0 if kind == 128 else _checksum(head + body)  # the kernel fills in ICMPv6's
    return struct.pack("!BBHHH", kind, 0, checksum, identity, sequence) + body


def _sequence_of(data: bytes, token: bytes, *, ipv4_header: bool) -> int:
    """Sequence number of an echo answer to us; -1 for anything else."""
    if ipv4_header:
        data = data[(data[0] & 0x0F) * 4 :] if data else b""
    if len(data) < 16 or data[0] not in (0, 129) or data[8:16] != token:
        return -1
    return int.from_bytes(data[6:8], "big")


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    folded: int = ~(total + (total >> 16)) & 0xFFFF
    return folded
