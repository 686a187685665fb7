"""What it costs to know who asks: CPU of all processes per request, of a program of this machine and of one with an API token.

    PYTHONPATH=src:. python -m bench.engine.caller

Instant queries of `vector(1)` over one connection that stays open, 3,000 of each.
"""

from __future__ import annotations

import http.client
import subprocess
import sys

from bench.engine.servers import Server, running

REQUESTS = 3_000


def cost_us(server: Server, headers: dict[str, str]) -> float:
    """CPU per request in microseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)

    def ask(times: int) -> None:
        for _ in range(times):
            connection.request("GET", "/api/v1/query?query=vector(1)", headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status

    ask(200)
    before = server.cpu_s()
    ask(REQUESTS)
    return (server.cpu_s() - before) / REQUESTS * 1e6


def main() -> None:
    with running(["tocsin"]) as servers:
        server = servers["tocsin"]
        command = [
            sys.executable,
            "-m",
            "tocsin",
            "token",
            "create",
            "--name",
            "bench",
            "--data-dir",
            str(server.folder / "data"),
        ]
        made = subprocess.run(command, check=True, capture_output=True, text=True, env={**server.environment}).stdout
        token = max(made.split(), key=len)
        print(f"from this machine  {cost_us(server, {}):6.0f} us")
        print(f"with a token       {cost_us(server, {'authorization': f'Bearer {token}'}):6.0f} us")


if __name__ == "__main__":
    main()
