"""Starts the shop, its database's port, its customers, its nightly job and the script that breaks things."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "instrument" / "src")]

import aiohttp  # noqa: E402
import uvicorn  # noqa: E402
from faults import NAMES, Faults, script  # noqa: E402
from pager import app as pager_app  # noqa: E402
from shop import PRODUCTS, Shop  # noqa: E402
from tocsin_instrument import jobs  # noqa: E402
from uploads import Uploads  # noqa: E402


async def database_port(faults: Faults, host: str, port: int) -> None:
    """Something that listens where the shop's database would; gone while the database is broken."""
    server: asyncio.Server | None = None

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"demo database\n")
        writer.close()

    try:
        while True:
            if "database" in faults and server is not None:
                server.close()
                server = None
            elif "database" not in faults and server is None:
                server = await asyncio.start_server(greet, host, port)
            await asyncio.sleep(0.2)
    finally:
        if server is not None:
            server.close()


async def site(shop: Shop, faults: Faults, host: str, port: int) -> None:
    """Serve the shop; while the site is broken nobody listens."""
    while True:
        if "site" in faults:
            await asyncio.sleep(0.2)
            continue
        server = uvicorn.Server(uvicorn.Config(shop.app, host=host, port=port, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve())
        while "site" not in faults and not serving.done():
            await asyncio.sleep(0.2)
        server.should_exit = server.force_exit = True
        await serving
        if "site" not in faults:
            return  # stopped from outside


async def pager(host: str, port: int) -> None:
    """Not part of the shop: pages must arrive while the shop is down."""
    await uvicorn.Server(uvicorn.Config(pager_app, host=host, port=port, log_level="warning", lifespan="off")).serve()


async def customers(base: str, per_second: float) -> None:
    """People who look around and sometimes buy."""
    running: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def visit() -> None:
            try:
                roll = random.random()
                if roll < 0.15:
                    async with session.post(f"{base}/checkout"):
                        pass
                else:
                    path = "/" if roll < 0.4 else f"/products/{random.randrange(PRODUCTS)}"
                    async with session.get(f"{base}{path}"):
                        pass
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass  # customers do not complain, they leave

        while True:
            if len(running) < 200:
                task = asyncio.create_task(visit())
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(random.expovariate(per_second))


async def nightly(url: str) -> None:
    """The nightly job; in the demo a night is half a minute."""

    def work() -> None:
        with jobs.run("order-export", heartbeat_url=url or None):
            pass

    while True:
        await asyncio.to_thread(work)
        await asyncio.sleep(30)


async def main(options: argparse.Namespace) -> None:
    faults = Faults()
    order = [options.now, *(name for name in NAMES if name != options.now)] if options.now else list(NAMES)
    with tempfile.TemporaryDirectory(prefix="demo-shop-") as folder:
        shop = Shop(Path(folder), faults)
        tasks = [
            asyncio.create_task(site(shop, faults, "127.0.0.1", options.port)),
            asyncio.create_task(database_port(faults, "127.0.0.1", options.port + 1)),
            asyncio.create_task(pager("127.0.0.1", options.port + 2)),
            asyncio.create_task(customers(f"http://127.0.0.1:{options.port}", options.customers)),
            asyncio.create_task(nightly(options.heartbeat)),
            asyncio.create_task(Uploads(Path(folder) / "uploads", faults).run()),
        ]
        if not options.calm:
            calm_s = 10.0 if options.now else 60.0
            tasks.append(asyncio.create_task(script(faults, order, every_s=options.every, for_s=options.duration, calm_s=calm_s)))
        print(f"demo: the shop is at http://127.0.0.1:{options.port}/, its metrics at /metrics", flush=True)  # noqa: T201
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A shop that fails on a script.")
    parser.add_argument("--port", type=int, default=8920, help="the next two are the database's and the pager's")
    parser.add_argument("--customers", type=float, default=8.0, metavar="N", help="visits per second")
    parser.add_argument("--every", type=float, default=120.0, metavar="S", help="seconds from one fault to the next")
    parser.add_argument("--for", dest="duration", type=float, default=80.0, metavar="S", help="seconds a fault lasts")
    parser.add_argument("--now", choices=NAMES, help="begin with this fault after ten seconds")
    parser.add_argument("--calm", action="store_true", help="break nothing")
    parser.add_argument(
        "--heartbeat",
        default=os.environ.get("DEMO_HEARTBEAT", "http://127.0.0.1:8911/hb/demo-shop-order-export"),
        help="URL that the nightly job calls",
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main(arguments()))
    except KeyboardInterrupt:
        sys.exit(0)
