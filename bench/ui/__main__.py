"""The dashboard in Chromium, on the real program with 2,000 checks, 200 services and 50,000 metric names.

`python -m bench.ui [--json] [--write] [--hour-s 60] [--skip-peer]` prints one table; `--write` puts it into
docs/reference/performance.md. Beside it pages of other programs, where they are (TOCSIN_PEERS) and carry any.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.engine.servers import Server
from bench.ui import measures
from bench.ui.browser import Load, chromium, signed_in
from bench.ui.peers import ALERTS, Peers, both, measured
from bench.ui.world import BROKEN_EVERY, EACH, NAMES, SERVICES, Target, write_configuration
from playwright.sync_api import Browser
from tests.e2e.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "performance.md"
BEGIN, END = "<!-- dashboard: python -m bench.ui --write -->", "<!-- end of dashboard -->"
Row = tuple[str, str, str, str]
"""What, Tocsin, another program's page, budget."""
_BUDGETS = ("<= 90 KB", "<= 6 and the stream", "<= 800 ms", "<= 2,500 ms")


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
        "overview": both(browser, server.url + "/", "[data-row]", state),
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
        "storm": lambda: measures.storm(page, server.url, token, ALERTS),
        "alerts": lambda: both(browser, server.url + "/alerts", "[data-row]", state),
    }
    print(found, file=sys.stderr, flush=True)
    for name, step in steps.items():
        found[name] = step()
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    context.close()
    return found


def table(own: dict[str, Any], peers: Peers) -> list[Row]:
    (lan, slow), (alerts, alerts_slow) = own["overview"], own["alerts"]
    before, after = own["heap"]
    delay, listed = own["storm"]
    return [
        *_loads(("first load until useful", "first contentful paint"), lan, slow, peers.prometheus, budgets=_BUDGETS),
        ("Overview useful, lan", f"{lan.useful_ms:.0f} ms", "", "<= 1,000 ms"),
        *_loads((f"list of {ALERTS} alerts, cold", "its first contentful paint"), alerts, alerts_slow, peers.vmalert),
        ("filter keystroke to frame, p95", f"{own['keystroke']['p95']:.0f} ms", "", "<= 100 ms"),
        ("alert taken to row, p95", f"{own['alert']['p95']:.0f} ms", "", "<= 2,000 ms"),
        ("check's change to row, p95", f"{own['check']['p95']:.0f} ms", "", "<= 2,000 ms"),
        ("key to completion list, 50,000 names, p95", f"{own['completion']['p95']:.0f} ms", "", "<= 100 ms"),
        ("24 panels over 6 h of a young store, cold, to the last", f"{own['board_ms']:.0f} ms", "", "<= 1,500 ms"),
        (f"{ALERTS} alerts at once: longest wait of a key", f"{delay:.0f} ms", "", "<= 100 ms"),
        (f"{ALERTS} alerts at once: all rows there", f"{listed:.0f} ms", "", ""),
        (
            "heap after an idle hour, accelerated",
            f"{before / 1e6:.1f} -> {after / 1e6:.1f} MB ({(after / before - 1) * 100:+.1f} %)",
            "",
            "<= +5 %, < 60 MB",
        ),
    ]


def _loads(
    names: tuple[str, str], lan: Load, slow: Load, peer: tuple[Load, Load] | None, *, budgets: tuple[str, ...] = ("",) * 4
) -> list[Row]:
    """Four rows of one page: bytes, requests, first paint lan and slow."""

    def figures(lan: Load, slow: Load) -> tuple[str, ...]:
        return f"{lan.bytes / 1000:.0f} KB", str(lan.requests), f"{lan.fcp_ms:.0f} ms", f"{slow.fcp_ms:.0f} ms"

    loaded, painted = names
    what = (f"{loaded}, on the wire", f"{loaded}: requests", f"{painted}, lan", "the same, slow 4G and a quarter of the CPU")
    return list(zip(what, figures(lan, slow), figures(*peer) if peer else ("-",) * 4, budgets, strict=True))


def markdown(rows: list[Row], hour_s: int, peers: Peers) -> str:
    lines = ["| measure | Tocsin | another's page | budget |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    machine = f"{os.cpu_count()} cores at load {os.getloadavg()[1]:.0f}, Python {platform.python_version()}"
    note = [
        "",
        f"Chromium headless on the machine of the program ({machine}): {SERVICES * EACH:,} checks, {SERVICES} services,",
        f"{NAMES:,} metric names.",
        f"The hour is pressed into {hour_s} s: four changes a second, each of which makes the page fetch.",
        *_about(peers),
    ]
    return "\n".join([*lines, *note])


def _about(peers: Peers) -> Iterator[str]:
    if peers.prometheus:
        yield "Beside the Overview: Prometheus's empty query page."
    else:
        yield "Prometheus, Alertmanager and VictoriaMetrics of this machine (Debian's) carry no pages to measure."
    if peers.vmalert:
        yield f"Beside the list of alerts: vmalert's, rendered by its server, with {ALERTS} alerts."


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
    server, link, token = start_tocsin(folder / "ours", target)
    try:
        with chromium() as browser:
            own = own_rows(browser, server, link, token, target, options.hour_s)
            server.kill()
            peers = Peers() if options.skip_peer else measured(browser, folder / "theirs")
    finally:
        server.kill()
        target.stop()
        shutil.rmtree(folder, ignore_errors=True)
    text = markdown(table(own, peers), options.hour_s, peers)
    print(json.dumps({"own": own, "peers": peers}, default=vars) if options.json else text)
    if options.write:
        page = PAGE.read_text()
        begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
        PAGE.write_text(page[:begin] + "\n" + text + "\n" + page[end:])


if __name__ == "__main__":
    main()
