"""The real Prometheus and Alertmanager under test, each started again at once when it was killed, as a good supervisor does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from bench.chaos.receivers import Receivers
from bench.chaos.side import RULES, SCRAPE, alertmanager_text
from tests.process.harness import free_port

_NAMES = ("prometheus", "prometheus-alertmanager")
_TOP = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]}}
"""


def binaries() -> dict[str, Path]:
    """Where the two are (folder TOCSIN_PEERS); those that are missing are left out."""
    folder = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers/bin"))
    return {name: folder / name for name in _NAMES if (folder / name).exists()}


def version(name: str) -> str:
    done = subprocess.run([str(binaries()[name]), "--version"], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).split("version ", 1)[1].split(" ", 1)[0].split("+")[0]


class PeerSide:
    """`resend`: how often Prometheus repeats an alert to Alertmanager; an alert is valid for four times as long."""

    name = "Prometheus + Alertmanager"

    def __init__(self, folder: Path, receivers: Receivers, target: str, *, resend: str = "1m") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ports = {name: free_port() for name in _NAMES}
        (folder / "rules.yml").write_text(RULES)
        top = _TOP.format(port=self._ports["prometheus-alertmanager"])
        (folder / "prometheus.yml").write_text(top + SCRAPE.format(target=target))
        (folder / "alertmanager.yml").write_text(alertmanager_text(receivers))
        self._folder = folder
        self._resend = resend
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self._launch()
        deadline = time.monotonic() + 60
        while not all(self._ready(name) for name in _NAMES):
            if time.monotonic() > deadline:
                raise RuntimeError("Prometheus and Alertmanager are not ready within 60 s")
            time.sleep(0.05)

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(60)

    def kill(self) -> None:
        self.end()
        self._launch()

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait(10)

    def freeze(self) -> None:
        """The evaluator alone: Alertmanager goes on and sees alerts whose time runs out."""
        os.kill(self._running["prometheus"].pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._running["prometheus"].pid, signal.SIGCONT)

    def post(self, path: str, body: Any) -> bool:
        url = f"http://127.0.0.1:{self._ports['prometheus-alertmanager']}{path}"
        headers = {"Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _launch(self) -> None:
        data, ports, found = self._folder / "data", self._ports, binaries()
        commands = {
            "prometheus": [
                f"--config.file={self._folder / 'prometheus.yml'}", f"--storage.tsdb.path={data / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{ports['prometheus']}", f"--rules.alert.resend-delay={self._resend}",
                "--log.level=error",
            ],
            "prometheus-alertmanager": [
                f"--config.file={self._folder / 'alertmanager.yml'}", f"--storage.path={data / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{ports['prometheus-alertmanager']}", "--cluster.listen-address=",
                "--log.level=error",
            ],
        }  # fmt: skip
        for name, arguments in commands.items():
            self._running[name] = subprocess.Popen(
                [str(found[name]), *arguments], cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def _ready(self, name: str) -> bool:
        if self._running[name].poll() is not None:
            raise RuntimeError(f"{name} ended with {self._running[name].returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[name]}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
