"""The demo's shop breaks in every way that `make demo` shows; each is detected, paged, acknowledged and over again.

The rules are the shipped ones with every window and hold 40 times shorter, so that minutes are seconds.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "demo-shop"
PACE = 40
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = r"(?:\d+[smhd])+"


def faster(text: str) -> str:
    """A rule file in which ranges, holds and intervals take a fortieth; at least what four samples need."""

    def shorter(found: re.Match[str]) -> str:
        seconds = sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"(\d+)([smhd])", found[2]))
        return f"{found[1]}{max(round(seconds / PACE), 1 if 'interval' in found[1] else 4)}s"

    text = re.sub(rf"(\[)({_SPAN})(?=\])", shorter, text)
    return re.sub(rf"(\b(?:interval|for|keep_firing_for|clear_for): )({_SPAN})\b", shorter, text)


def three_ports() -> int:
    """The first of three free ports in a row."""
    for port in range(21_000, 60_000, 7):
        taken = [socket.socket() for _ in range(3)]
        try:
            for i, one in enumerate(taken):
                one.bind(("127.0.0.1", port + i))
            return port
        except OSError:
            continue
        finally:
            for one in taken:
                one.close()
    raise AssertionError("no three free ports in a row")


class Demo:
    """`examples/demo-shop/demo.py` with its pager's lines."""

    def __init__(self, port: int, heartbeat: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.lines: list[str] = []
        command = [sys.executable, str(SHOP / "demo.py"), "--port", str(port), "--customers", "25", "--calm"]
        self.process = subprocess.Popen(
            [*command, "--heartbeat", heartbeat], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def switch(self, name: str, state: str) -> None:
        """As by hand: `curl -X POST .../faults/errors/on`."""
        request = urllib.request.Request(f"{self.url}/faults/{name}/{state}", method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.read() == b"done\n"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def demo(tocsin: Any) -> Iterator[Demo]:
    port = three_ports()
    tocsin.folder.mkdir(parents=True)
    text = (SHOP / "tocsin.yaml").read_text().replace("every: 10s", "every: 1s")
    text = text.replace("scrape_interval: 5s", "scrape_interval: 1s").replace("scrape_timeout: 4s", "scrape_timeout: 1s")
    for i, known in enumerate(("8920", "8921", "8922")):
        text = text.replace(f"127.0.0.1:{known}", f"127.0.0.1:{port + i}")
    (tocsin.folder / "tocsin.yaml").write_text("shipped_rules: false\nrule_files: [fast.yml]\n" + text)
    rules = (ROOT / "infrastructure" / "monitoring" / "alerts.yml").read_text()
    (tocsin.folder / "fast.yml").write_text(faster(rules))
    shop = Demo(port, f"{tocsin.url}/hb/demo-shop-order-export")
    tocsin.start()
    yield shop
    shop.stop()


STEPS = (
    {
        "latency": ("HttpResponseTimeHigh", "shop answers slower than 1 s")
    },  # first and alone: a critical alert holds a warning back
    {"errors": ("HttpErrorRatioCritical", "shop fails "), "payments": ("PaymentsFailing", "payments of shop fail")},
    {"pool": ("ConnectionPoolExhausted", "Pool shop of shop is exhausted")},
    {"database": ("CheckDown", "database is down")},
)
"""What breaks together; of each fault its alert and words of its page."""


def incident_of(tocsin: Any, words: str) -> int:
    """The number of the newest incident with these words in its title. Raises IndexError while there is none."""
    found = tocsin.get("/api/tocsin/v1/incidents?state=all")["incidents"]
    rows = [row for row in found if words in row["title"]]
    return int(rows[0]["number"])


def acknowledge(tocsin: Any, number: int, *, by_command: bool) -> None:
    if by_command:
        tocsin.cli("ack", str(number))
        return
    version = tocsin.get(f"/api/tocsin/v1/incidents/{number}")["version"]
    tocsin.post(f"/api/tocsin/v1/incidents/{number}/acknowledge", {"version": version})


def test_every_fault_of_the_demo_is_paged_acknowledged_and_over(tocsin: Any, demo: Demo) -> None:
    def told(what: str, words: str) -> bool:
        return any(line.startswith(f"PAGER: [{what}]") and words in line for line in demo.lines)

    tocsin.until(lambda: tocsin.query('up{job="shop"} == 1'), 40, "the shop is scraped")
    tocsin.until(lambda: len(tocsin.query('tocsin_check_state{state="up"} == 1')) == 3, 40, "checks and heartbeat are up")
    numbers: dict[str, int] = {}
    for step in STEPS:
        for fault in step:
            demo.switch(fault, "on")
        for fault, (alert, words) in step.items():
            firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
            tocsin.until(lambda firing=firing: tocsin.query(firing), 60, f"{fault} is detected: {alert}")
            tocsin.until(lambda words=words: told("firing", words), 60, f"{fault} is paged")
            numbers[fault] = incident_of(tocsin, words)
            acknowledge(tocsin, numbers[fault], by_command=fault == "latency")
        for fault in step:
            demo.switch(fault, "off")
    for fault, (_, words) in [pair for step in STEPS for pair in step.items()]:
        path = f"/api/tocsin/v1/incidents/{numbers[fault]}"
        tocsin.until(lambda path=path: tocsin.get(path)["state"] == "resolved", 90, f"{fault} is over")
        tocsin.until(lambda words=words: told("resolved", words), 20, f"the end of {fault} is told")
        assert tocsin.get(path)["acknowledged_ms"] > 0
