"""Tocsin under test: one program, `tocsin serve`; what is killed and frozen is its core."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from bench.chaos.receivers import Receivers
from bench.chaos.side import RULES, SCRAPE, alertmanager_text
from tests.process.harness import Tocsin

_OWN = """
shipped_rules: false
host: {enabled: false}
rule_files: [rules.yml]
"""
_PEOPLE = """
users: [{{name: ana, contact: [{{webhook: "{hook}/person"}}]}}, {{name: ben, contact: [{{webhook: "{hook}/person"}}]}}]
policies: [{{name: all, steps: [{{notify: ana, wait: 6s}}, {{notify: ben, wait: 6s}}], repeat: 3}}]
"""


class TocsinSide:
    """`people`: one person after the other is paged until somebody acknowledges."""

    name = "Tocsin"

    def __init__(self, folder: Path, receivers: Receivers, target: str, *, people: bool = False) -> None:
        self.program = Tocsin(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = _OWN + SCRAPE.format(target=target) + alertmanager_text(receivers)
        text += _PEOPLE.format(hook=receivers.webhook.url) if people else ""
        (folder / "tocsin.yaml").write_text(text)
        (folder / "rules.yml").write_text(RULES)
        self._frozen: list[int] = []

    def start(self) -> None:
        self.program.start()

    def stop(self) -> None:
        self.program.stop()

    def kill(self) -> None:
        self.program.kill("core")

    def end(self) -> None:
        self.program.kill_all()
        if self.program.process is not None:
            self.program.process.wait(10)

    def freeze(self) -> None:
        self._frozen = [self.program.children()["core"].pid]
        os.kill(self._frozen[0], signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # The parent has replaced it meanwhile.

    def post(self, path: str, body: Any) -> bool:
        try:
            self.program.post(path, body)
        except Exception:  # refused, reset, 503: it is not back
            return False
        return True

    def acknowledge_all(self) -> float:
        """Take every open incident; when the last acknowledgement was committed (seconds since 1970)."""
        for incident in self.program.get("/api/tocsin/v1/incidents")["incidents"]:
            self.program.post(f"/api/tocsin/v1/incidents/{incident['number']}/acknowledge", {})
        return time.time()
