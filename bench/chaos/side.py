"""What a scenario asks of a program under test, and the configuration that both get."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from bench.chaos.receivers import Receivers

RULES = """
groups:
  - name: chaos
    interval: 1s
    rules:
      - alert: Down
        expr: service_bad == 1
        for: 2s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.service }} is down"}
"""
ALERTMANAGER = """
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: pages@t.example, smtp_require_tls: false}}
route:
  receiver: all
  group_by: [alertname, service]
  group_wait: 1s
  group_interval: 3s
  repeat_interval: 4h
  routes: [{{receiver: back, matchers: ['alertname="Back"'], group_by: [mark], group_wait: 0s}}]
receivers:
  - name: back
    webhook_configs: [{{url: "{hook}/back", send_resolved: false}}]
  - name: all
    webhook_configs: [{{url: "{hook}/in"}}]
    pagerduty_configs: [{{routing_key: {key}, url: "{pagerduty}/v2/enqueue"}}]
    slack_configs: [{{api_url: "{slack}/services/T/B/x", channel: "#ops", send_resolved: true}}]
    email_configs: [{{to: ops@t.example, send_resolved: true}}]
"""
SCRAPE = """
scrape_configs: [{{job_name: services, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{targets: ["{target}"]}}]}}]
"""


def alertmanager_text(receivers: Receivers) -> str:
    """Route and receivers, in the language that both read."""
    return ALERTMANAGER.format(
        mail=receivers.email.port,
        hook=receivers.webhook.url,
        pagerduty=receivers.pagerduty.url,
        slack=receivers.slack.url,
        key="k" * 32,
    )


_FILL_S = 0.05


class Side(Protocol):
    """One program under test. `kill`: kill -9 of what evaluates and notifies, started again at once by whoever watches it."""

    name: str

    def start(self) -> None: ...

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""

    def kill(self) -> None: ...

    def end(self) -> None:
        """kill -9 of everything; it stays down."""

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def post(self, path: str, body: Any) -> bool:
        """POST to Alertmanager's API; False while nobody takes it."""


def may_mount() -> bool:
    """Whether this machine lets us have a file system of our own (root, and no container that forbids it)."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True).returncode == 0
        return mounted and subprocess.run(["umount", folder], check=False, capture_output=True).returncode == 0


class SmallDisk:
    """A file system of its own in memory, which can be filled. Needs root."""

    def __init__(self, folder: Path, *, megabytes: int) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self._full = threading.Event()
        self._filler: threading.Thread | None = None
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)

    def fill(self) -> None:
        """To the last byte, and again as soon as somebody makes room, until `free`: a program that writes without end."""
        self._full.set()
        self._fill_once()
        self._filler = threading.Thread(target=self._fill_on, daemon=True)
        self._filler.start()

    def _fill_on(self) -> None:
        while self._full.is_set():
            self._fill_once()
            time.sleep(_FILL_S)

    def _fill_once(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)

    def free(self) -> None:
        self._full.clear()
        if self._filler is not None:
            self._filler.join()
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        self.free()
        deadline = time.monotonic() + 10
        while subprocess.run(["umount", str(self.folder)], check=False, capture_output=True).returncode:
            if time.monotonic() > deadline:
                subprocess.run(["umount", "-l", str(self.folder)], check=False)
                return
            time.sleep(0.2)
