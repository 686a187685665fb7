"""Processes of this machine run."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import psutil
from pydantic import Field, model_validator

from tocsin.collect.check import Check, check
from tocsin.collect.fields import Pattern, search
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, Sample, failed, passed
from tocsin.model.check import CheckReason


@check("process")
class Process(Check):
    """As many processes as expected match a name, command line or user."""

    example = "{name: worker, process: celery}"
    evidence = "processes (number, start, memory; never command lines)"

    file_only = True

    name: str = Field("", description="exact name of the executable")
    command: Pattern = Field("", description="regular expression that must occur in the command line")
    user: str = ""
    min: int = Field(1, ge=0)
    max: int = Field(0, ge=0, description="0 = no upper limit")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"name": value}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.name or self.command):
            raise ValueError("give `name` or `command`")
        return self

    @property
    def target(self) -> str:
        return f"process {self.name or self.command}"

    async def run(self, io: Io) -> Outcome:
        with io.phase("query", "listing processes"):
            found = await asyncio.to_thread(self._find)
        facts = {"processes": found[:20]}
        memory = float(sum(entry["rss"] for entry in found))
        samples: tuple[Sample, ...] = (
            ("process_check_count", {}, float(len(found))),
            ("process_check_resident_bytes", {}, memory),
        )
        said = f"{len(found)} running"
        if len(found) < self.min:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, expected at least {self.min}", facts, samples)
        if self.max and len(found) > self.max:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, expected at most {self.max}", facts, samples)
        return passed(said, facts, samples)

    def _find(self) -> list[dict[str, Any]]:
        """Matching processes; command lines are not shown (they may hold secrets)."""
        out = []
        for process in psutil.process_iter(["pid", "name", "cmdline", "username", "memory_info", "status"]):
            info = process.info
            if info["status"] == psutil.STATUS_ZOMBIE or (self.name and info["name"] != self.name):
                continue
            if self.user and info["username"] != self.user:
                continue
            if self.command and not search(self.command, " ".join(info["cmdline"] or ())):
                continue
            memory = info["memory_info"]
            out.append({"pid": info["pid"], "name": info["name"], "user": info["username"], "rss": memory.rss if memory else 0})
        return out
