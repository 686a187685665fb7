"""What the ASGI middleware adds to a request: `PYTHONPATH=instrument/src python bench/instrument_overhead.py`.

Prints the best of several rounds, microseconds of processor time per request, of an application that does nothing, without the
middleware and with it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "instrument" / "src"))

ROUNDS, REQUESTS = 15, 10_000


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    scope["route"] = ROUTE
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class ROUTE:
    path = "/orders/{id}"


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    return None


async def best(app: Any) -> float:
    """Microseconds per request."""
    times = []
    for _ in range(ROUNDS):
        start = process_time()
        for _ in range(REQUESTS):
            await app({"type": "http", "method": "GET", "path": "/orders/1"}, receive, send)
        times.append((process_time() - start) / REQUESTS * 1e6)
    return min(times)


async def main() -> None:
    from tocsin_instrument.asgi import Metrics

    bare, measured = await best(nothing), await best(Metrics(nothing))
    print(f"bare {bare:.2f} us, with middleware {measured:.2f} us, added {measured - bare:.2f} us per request (goal: <= 20)")


if __name__ == "__main__":
    asyncio.run(main())
