"""A local HTTP server for the benches: answers 200 after `--delay-ms`; prints its port."""

from __future__ import annotations

import argparse
import asyncio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Web(asyncio.Protocol):
    delay_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        if self.seen.endswith(b"\r\n\r\n"):
            asyncio.get_running_loop().call_later(self.delay_s, self.answer)

    def answer(self) -> None:
        self.transport.write(ANSWER)  # type: ignore[attr-defined]
        self.transport.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=float, default=20.0)
    Web.delay_s = parser.parse_args().delay_ms / 1000
    server = await asyncio.get_running_loop().create_server(Web, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
