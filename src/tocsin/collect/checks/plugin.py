"""A Nagios plugin: exit code, text and performance data."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import Field, model_validator

from tocsin.collect.check import Check, check
from tocsin.collect.command import run_command
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, Sample, degraded, failed, passed, unsupported
from tocsin.model.check import CheckReason

_PERFORMANCE = re.compile(r"(?:'([^']+)'|([^\s=']+))=(-?[0-9.]+)([A-Za-z%]*)")
_MOST_FIGURES = 50


@check("plugin")
class Plugin(Check):
    """A program in the form of a Nagios plugin: exit 0 is good, 1 degraded, 2 failed, 3 unknown; text up to `|`, then figures."""

    example = '{name: load, plugin: [/usr/lib/nagios/plugins/check_load, -w, "5", -c, "10"]}'
    evidence = "exit_code, output"

    file_only = True

    command: tuple[str, ...] = Field(min_length=1, description="program and arguments as a list; no shell")
    environment: dict[str, str] = Field({}, description="variables to set; nothing else of ours is passed on but PATH")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        if isinstance(value, (list, tuple)):
            return {"command": value}
        raise ValueError("expected a list: program and arguments, such as [/usr/lib/nagios/plugins/check_load, -w, '5']")

    @model_validator(mode="after")
    def _absolute(self) -> Self:
        if not self.command[0].startswith("/"):
            raise ValueError("the program must be an absolute path")
        return self

    @property
    def target(self) -> str:
        return f"plugin {self.command[0].rpartition('/')[2]}"

    async def run(self, io: Io) -> Outcome:
        try:
            with io.phase("run", "running the program"):
                code, text = await run_command(self.command, environment=self.environment)
        except (FileNotFoundError, PermissionError) as error:
            return unsupported(f"the program cannot be started: {error.strerror}")
        first, _, figures = text.partition("\n")[0].partition("|")
        said = first.strip()[:500] or f"exit code {code}"
        facts = {"exit_code": code, "output": text[:4000]}
        samples = _figures(figures)
        match code:
            case 0:
                return passed(said, facts, samples)
            case 1:
                return degraded(CheckReason.UNEXPECTED_ANSWER, said, facts, samples)
            case 2:
                return failed(CheckReason.UNEXPECTED_ANSWER, said, facts, samples)
        return Outcome(False, CheckReason.INTERNAL, f"{said} (exit code {code})", facts, samples, unknown=True)


def _figures(text: str) -> tuple[Sample, ...]:
    out: list[Sample] = []
    for quoted, plain, number, unit in _PERFORMANCE.findall(text)[:_MOST_FIGURES]:
        try:
            out.append(("plugin_value", {"figure": quoted or plain, "unit": unit}, float(number)))
        except ValueError:
            continue
    return tuple(out)
