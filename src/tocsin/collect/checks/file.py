"""A file of this machine is there, fresh and large enough."""

from __future__ import annotations

import asyncio
import glob
from pathlib import Path
from typing import Any

from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.fields import DurationMs, SizeBytes
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, Sample, failed, passed
from tocsin.model.check import CheckReason
from tocsin.model.duration import human_duration


@check("file")
class File(Check):
    """The newest file that matches a path is young and large enough: the proof that a backup ran."""

    example = "{name: backup, file: /var/backups/shop.dump, max_age: 26h}"
    evidence = "file, size_bytes, modified_ms"

    file_only = True

    path: str = Field(min_length=1, description="path, may contain * and ?")
    max_age: DurationMs = Field(0, description="fails when older than this; 0s = any age")
    min_size: SizeBytes = Field(0, description="fails when smaller than this")
    exists: bool = Field(True, description="false = fails when it is there")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"path": value}

    @property
    def target(self) -> str:
        return f"file {self.path}"

    async def run(self, io: Io) -> Outcome:
        with io.phase("query", "looking at the file"):
            found = await asyncio.to_thread(self._newest)
        if found is None:
            return (
                passed("not there") if not self.exists else failed(CheckReason.UNEXPECTED_ANSWER, f"no file matches {self.path}")
            )
        name, mtime_ms, size = found
        age_ms = max(io.now_ms() - mtime_ms, 0)
        facts = {"file": name, "modified_ms": mtime_ms, "size_bytes": size}
        samples: tuple[Sample, ...] = (
            ("file_check_age_seconds", {}, age_ms / 1000),
            ("file_check_size_bytes", {}, float(size)),
        )
        said = f"{human_duration(age_ms)} old, {size} bytes"
        if not self.exists:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"the file is there ({said})", facts, samples)
        if self.max_age and age_ms > self.max_age:
            return failed(
                CheckReason.UNEXPECTED_ANSWER, f"{said}; expected younger than {human_duration(self.max_age)}", facts, samples
            )
        if size < self.min_size:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}; expected at least {self.min_size} bytes", facts, samples)
        return passed(said, facts, samples)

    def _newest(self) -> tuple[str, int, int] | None:
        newest: tuple[str, int, int] | None = None
        for name in glob.glob(self.path):
            try:
                stat = Path(name).stat()
            except OSError:
                continue
            entry = (name, stat.st_mtime_ns // 1_000_000, stat.st_size)
            if newest is None or entry[1] > newest[1]:
                newest = entry
        return newest
