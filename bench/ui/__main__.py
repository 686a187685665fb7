"""The dashboard in Chromium, on the real program with 2,000 checks, 200 services and 50,000 metric names.

`python -m bench.ui [--json] [--write] [--hour-s 60] [--skip-peer]` prints one table; `--write` puts it into
docs/reference/performance.md. Beside it Prometheus's own pages, where its program is (TOCSIN_PEERS) and carries them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.engine.servers import PEERS, Server
from bench.ui import measures
from bench.ui.browser import Load, chromium, load, signed_in
from bench.ui.world import BROKEN_EVERY, EACH, NAMES, SERVICES, Target, write_configuration
from playwright.sync_api import Browser, Page
from tests.e2e.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "performance.md"
BEGIN, END = "<!-- dashboard: python -m bench.ui --write -->", "<!-- end of dashboard -->"
Row = tuple[str, str, str, str]
"""What, Tocsin, Prometheus, budget."""


def start_tocsin(folder: Path, target: Target) -> tuple[Server, str, str]:
    """The program, its sign-in link, an API token; it returns when the broken checks are known to be broken."""
    config, port = write_configuration(folder, target.address), free_port()
    binary = str(Path(sys.executable).parent / "tocsin")
    command = [binary, "serve", "-c", str(config), "--data-dir", str(folder / "data"), "--listen", f"127.0.0.1:{port}"]
    server = Server("tocsin", folder, port, command, "/-/ready", {"TOCSIN_DATA_DIR": str(folder / "data")})
    server.start()
    log = (folder / "log.txt").read_text
    while not (found := re.findall(r"http://\S+/signin\?t=\S+", log())):
        time.sleep(0.1)
    token = os.popen(f"{binary} token create --role admin --data-dir {folder / 'data'}").read().strip()
    return server, found[-1], token


def useful(page: Page) -> None:
    page.get_by_role("region", name="Problems").locator("[data-row]").first.wait_for()


def settled(browser: Browser, url: str, state: Any) -> None:
    """Wait until every broken check is shown as a problem and most others have run."""
    context = browser.new_context(storage_state=state)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        checks = context.request.get(url + "/api/tocsin/v1/checks").json()["checks"]
        counts = [one["state"] for one in checks]
        if counts.count("down") >= SERVICES // BROKEN_EVERY and counts.count("pending") < SERVICES * EACH // 4:
            break
        time.sleep(2)
    context.close()


def own_rows(browser: Browser, server: Server, link: str, token: str, target: Target, hour_s: int) -> dict[str, Any]:
    state = signed_in(browser, link, server.url)
    settled(browser, server.url, state)
    found: dict[str, Any] = {
        "lan": best(lambda: load(browser, server.url + "/", useful, state=state)),
        "slow": best(lambda: load(browser, server.url + "/", useful, state=state, slow=True)),
    }
    context = browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=state)
    page = context.new_page()
    page.set_default_timeout(60_000)
    steps: dict[str, Callable[[], Any]] = {
        "keystroke": lambda: measures.worst(measures.keystrokes(page, server.url)),
        "completion": lambda: measures.worst(measures.completions(page, server.url)),
        "board_ms": lambda: measures.board_ms(page, server.url),
        "alert": lambda: measures.worst(measures.alert_to_pixel(page, server.url, token)),
        "check": lambda: measures.worst(measures.check_to_pixel(page, server.url, target)),
        "heap": lambda: measures.heap_growth(page, server.url, hour_s),
        "storm": lambda: measures.storm(page, server.url, token),
    }
    print(found, file=sys.stderr, flush=True)
    for name, step in steps.items():
        found[name] = step()
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    context.close()
    return found


def best(work: Callable[[], Load], times: int = 5) -> Load:
    """The middle of several, each figure by itself."""
    loads = [work() for _ in range(times)]

    def middle(of: Callable[[Load], float]) -> float:
        return sorted(map(of, loads))[times // 2]

    return Load(
        bytes=int(middle(lambda one: one.bytes)),
        requests=int(middle(lambda one: one.requests)),
        useful_ms=middle(lambda one: one.useful_ms),
        fcp_ms=middle(lambda one: one.fcp_ms),
    )


def peer_rows(browser: Browser, folder: Path) -> tuple[Load, Load] | None:
    """Prometheus's query page, lan and slow; None where the program or its pages are missing."""
    binary = PEERS / "prometheus"
    if not binary.exists():
        return None
    port = free_port()
    (folder / "prometheus.yml").write_text("{}\n")
    command = [str(binary), "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    server = Server("prometheus", folder, port, command, "/-/ready")
    server.start()
    try:
        if b"<script" not in server.get("/query")[1]:
            return None

        def shown(page: Page) -> None:
            page.locator(".cm-content, textarea, input").first.wait_for()

        lan, slow = (best(partial(load, browser, server.url + "/query", shown, slow=slow)) for slow in (False, True))
        return lan, slow
    finally:
        server.kill()


def table(own: dict[str, Any], peer: tuple[Load, Load] | None) -> list[Row]:
    lan, slow = own["lan"], own["slow"]
    theirs = (
        [(f"{one.bytes / 1000:.0f} KB", str(one.requests), f"{one.fcp_ms:.0f} ms") for one in peer] if peer else [("-",) * 3] * 2
    )
    before, after = own["heap"]
    delay, listed = own["storm"]
    return [
        ("first load until useful, on the wire", f"{lan.bytes / 1000:.0f} KB", theirs[0][0], "<= 90 KB"),
        ("requests until useful", str(lan.requests), theirs[0][1], "<= 6 and the stream"),
        ("first contentful paint, lan", f"{lan.fcp_ms:.0f} ms", theirs[0][2], "<= 800 ms"),
        ("the same, slow 4G and a quarter of the CPU", f"{slow.fcp_ms:.0f} ms", theirs[1][2], "<= 2,500 ms"),
        ("Overview useful, lan", f"{lan.useful_ms:.0f} ms", "", "<= 1,000 ms"),
        ("filter keystroke to frame, p95", f"{own['keystroke']['p95']:.0f} ms", "", "<= 100 ms"),
        ("alert taken to row, p95", f"{own['alert']['p95']:.0f} ms", "", "<= 2,000 ms"),
        ("check's change to row, p95", f"{own['check']['p95']:.0f} ms", "", "<= 2,000 ms"),
        ("key to completion list, 50,000 names, p95", f"{own['completion']['p95']:.0f} ms", "", "<= 100 ms"),
        ("24 panels over 6 h of a young store, cold, to the last", f"{own['board_ms']:.0f} ms", "", "<= 1,500 ms"),
        ("500 alerts at once: longest wait of a key", f"{delay:.0f} ms", "", "<= 100 ms"),
        ("500 alerts at once: all rows there", f"{listed:.0f} ms", "", ""),
        (
            "heap after an idle hour, accelerated",
            f"{before / 1e6:.1f} -> {after / 1e6:.1f} MB ({(after / before - 1) * 100:+.1f} %)",
            "",
            "<= +5 %, < 60 MB",
        ),
    ]


def markdown(rows: list[Row], hour_s: int, *, with_peer: bool) -> str:
    lines = ["| measure | Tocsin | Prometheus's pages | budget |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    machine = f"{os.cpu_count()} cores at load {os.getloadavg()[1]:.0f}, Python {platform.python_version()}"
    note = [
        "",
        f"Chromium headless on the machine of the program ({machine}): {SERVICES * EACH:,} checks, {SERVICES} services,",
        f"{NAMES:,} metric names.",
        f"The hour is pressed into {hour_s} s: four changes a second, each of which makes the page fetch.",
        "Prometheus shows an empty query page." if with_peer else "The Prometheus of this machine carries no pages to measure.",
    ]
    return "\n".join([*lines, *note])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--hour-s", type=int, default=60, help="seconds into which the idle hour is pressed")
    parser.add_argument("--skip-peer", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # what was started is ended, too
    folder, target = Path(tempfile.mkdtemp(prefix="tocsin-ui-")), Target()
    (folder / "ours").mkdir()
    (folder / "theirs").mkdir()
    server, link, token = start_tocsin(folder / "ours", target)
    try:
        with chromium() as browser:
            own = own_rows(browser, server, link, token, target, options.hour_s)
            server.kill()
            peer = None if options.skip_peer else peer_rows(browser, folder / "theirs")
    finally:
        server.kill()
        target.stop()
        shutil.rmtree(folder, ignore_errors=True)
    rows = table(own, peer)
    print(
        json.dumps({"own": own, "peer": peer}, default=vars)
        if options.json
        else markdown(rows, options.hour_s, with_peer=peer is not None)
    )
    if options.write:
        text = PAGE.read_text()
        begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        PAGE.write_text(text[:begin] + "\n" + markdown(rows, options.hour_s, with_peer=peer is not None) + "\n" + text[end:])


if __name__ == "__main__":
    main()
