"""The network as checks see it: names and connections. Shared by all runs of a process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import SupportsIndex

from tocsin.clock import Clock
from tocsin.model.egress import EgressRules, literal_address

# A resolver that hangs keeps a thread for its whole timeout (often 10 s or more): enough threads that others go on.
_RESOLVER_THREADS = 64
_BROWSERS = 2
"""At once: each is some 300 MB and most of a processor, and would slow what the others measure."""
_MOST_BUFFERED = 1 << 18
_FAMILIES = {"any": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}


class Network:
    """Real sockets, the system's resolver. `egress` is judged by the caller on every address."""

    def __init__(self, *, clock: Clock, egress: EgressRules | None = None) -> None:
        self.clock = clock
        self.egress = egress or EgressRules()
        self.browsers = asyncio.Semaphore(_BROWSERS)
        self._resolvers: ThreadPoolExecutor | None = None

    async def resolve(self, host: str, *, ip: str = "any") -> list[str]:
        """Addresses in the system's order, fresh each time. Raises socket.gaierror."""
        if literal := literal_address(host):
            return [literal]
        if self._resolvers is None:
            self._resolvers = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolve")
        found = await asyncio.get_running_loop().run_in_executor(self._resolvers, _lookup, host, _FAMILIES[ip])
        return list(dict.fromkeys(found))

    async def open(self, address: str, port: int) -> tuple[ArrivalReader, asyncio.StreamWriter]:
        """Connect to an address. Raises OSError."""
        loop = asyncio.get_running_loop()
        reader = ArrivalReader(self.clock, limit=_MOST_BUFFERED)
        transport, protocol = await loop.create_connection(lambda: asyncio.StreamReaderProtocol(reader), address, port)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def close(self) -> None:
        if self._resolvers is not None:
            self._resolvers.shutdown(wait=False, cancel_futures=True)


class ArrivalReader(asyncio.StreamReader):
    """Knows when the loop took the last bytes from the socket; the task that waits for them has to let others compute first."""

    arrived_s = 0.0
    """Of the clock's `monotonic_s`; first the moment of the connection itself."""

    def __init__(self, clock: Clock, *, limit: int) -> None:
        super().__init__(limit=limit)
        self._clock = clock

    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        self.arrived_s = self._clock.monotonic_s()
        super().set_transport(transport)

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        self.arrived_s = self._clock.monotonic_s()
        super().feed_data(data)

    def feed_eof(self) -> None:
        self.arrived_s = self._clock.monotonic_s()
        super().feed_eof()


def _lookup(host: str, family: int) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)]
