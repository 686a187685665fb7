"""The network as checks see it: names and connections. Shared by all runs of a process."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from tocsin.clock import Clock
from tocsin.model.egress import EgressRules, literal_address

# A resolver that hangs keeps a thread for its whole timeout (often 10 s or more): enough threads that others go on.
_RESOLVER_THREADS = 64
_BROWSERS = 2
"""At once: each is some 300 MB and most of a processor, and would slow what the others measure."""
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

    async def open(self, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to an address. Raises OSError."""
        return await asyncio.open_connection(address, port, limit=1 << 18)

    def close(self) -> None:
        if self._resolvers is not None:
            self._resolvers.shutdown(wait=False, cancel_futures=True)


def _lookup(host: str, family: int) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)]
