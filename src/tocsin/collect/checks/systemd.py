"""A systemd unit is active."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.command import run_command
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, degraded, failed, passed, unsupported
from tocsin.model.check import CheckReason

_SHOWN = ("LoadState", "ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus", "ActiveEnterTimestamp")


@check("systemd")
class Systemd(Check):
    """A unit of this machine's systemd is active and has not failed."""

    example = "{name: nginx unit, systemd: nginx.service}"
    evidence = "active, sub, result, restarts"

    file_only = True

    unit: str = Field(pattern=r"^[A-Za-z0-9@:._\\-]{1,256}$", description="such as nginx.service")
    max_restarts: int = Field(0, ge=0, description="degraded after more automatic restarts than this; 0 = do not count")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"unit": value}

    @property
    def target(self) -> str:
        return f"unit {self.unit}"

    async def run(self, io: Io) -> Outcome:
        try:
            with io.phase("query", "asking systemctl"):
                code, text = await run_command(["systemctl", "show", f"--property={','.join(_SHOWN)}", "--", self.unit])
        except FileNotFoundError:
            return unsupported("there is no systemctl on this machine")
        if code != 0:
            return unsupported(f"systemctl could not ask systemd: {text.strip()[:200]}")
        return self._judge(dict(line.split("=", 1) for line in text.splitlines() if "=" in line))

    def _judge(self, state: dict[str, str]) -> Outcome:
        said = f"{state.get('ActiveState')} ({state.get('SubState')})"
        if state.get("LoadState") == "not-found":
            return failed(CheckReason.UNEXPECTED_ANSWER, f"there is no unit {self.unit}", state)
        if state.get("ActiveState") == "failed":
            return failed(
                CheckReason.UNEXPECTED_ANSWER, f"{said}: {state.get('Result')}, exit status {state.get('ExecMainStatus')}", state
            )
        if state.get("ActiveState") not in ("active", "reloading"):
            return failed(CheckReason.UNEXPECTED_ANSWER, said, state)
        if self.max_restarts and int(state.get("NRestarts") or 0) > self.max_restarts:
            return degraded(CheckReason.UNEXPECTED_ANSWER, f"{said}, but restarted {state['NRestarts']} times", state)
        return passed(said, state)
