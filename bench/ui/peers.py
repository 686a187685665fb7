"""Pages of other programs, where their binaries on this machine carry any: Prometheus's query page and vmalert's list of alerts.

Debian builds Prometheus, Alertmanager and VictoriaMetrics without their web applications.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.engine.servers import PEERS, Server
from bench.ui.browser import Load, best, load
from playwright.sync_api import Browser
from tests.e2e.conftest import free_port

ALERTS = 500


@dataclass
class Peers:
    """Each page (lan, slow); None where the program or its pages are missing."""

    prometheus: tuple[Load, Load] | None = None
    vmalert: tuple[Load, Load] | None = None


def measured(browser: Browser, folder: Path) -> Peers:
    return Peers(_prometheus(browser, folder / "prometheus"), _vmalert(browser, folder / "vmalert"))


def _prometheus(browser: Browser, folder: Path) -> tuple[Load, Load] | None:
    """Its empty query page."""
    if not (PEERS / "prometheus").exists():
        return None
    folder.mkdir(parents=True)
    (folder / "prometheus.yml").write_text("{}\n")
    options = ("--config.file=prometheus.yml", "--storage.tsdb.path=data")
    with _running("prometheus", folder, "--web.listen-address", options, "/-/ready") as server:
        if b"<script" not in server.get("/query")[1]:
            return None
        return both(browser, server.url + "/query", ".cm-content, textarea, input")


def _vmalert(browser: Browser, folder: Path) -> tuple[Load, Load] | None:
    """Its list of 500 firing alerts, of as many rules."""
    if not all((PEERS / name).exists() for name in ("victoria-metrics", "vmalert")):
        return None
    folder.mkdir(parents=True)
    rules = [{"alert": f"Storm{number:03d}", "expr": "vector(1)", "labels": {"severity": "critical"}} for number in range(ALERTS)]
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "storm", "interval": "1s", "rules": rules}]}))
    with _running("victoria-metrics", folder, "-httpListenAddr", ("-storageDataPath=data",), "/health") as store:
        options = ("-rule=rules.yml", f"-datasource.url={store.url}", "-notifier.blackhole")
        with _running("vmalert", folder, "-httpListenAddr", options, "/health") as server:
            while len(json.loads(server.get("/api/v1/alerts")[1])["data"]["alerts"]) < ALERTS:
                time.sleep(0.2)
            return both(browser, server.url + "/vmalert/alerts", "table tbody tr")


@contextmanager
def _running(name: str, folder: Path, address: str, options: tuple[str, ...], ready: str) -> Iterator[Server]:
    port = free_port()
    server = Server(name, folder, port, [str(PEERS / name), *options, f"{address}=127.0.0.1:{port}"], ready)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def both(browser: Browser, url: str, useful: str, state: object = None) -> tuple[Load, Load]:
    """Lan, then slow."""
    lan, slow = (best(partial(load, browser, url, useful, state=state, slow=slow)) for slow in (False, True))
    return lan, slow
