"""Run a program of this machine for a check: fixed arguments, no shell, bounded output, ended with the check."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence

_MOST_OUTPUT = 64 * 1024


async def run_command(words: Sequence[str], *, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code (-signal when killed) and output (both streams, at most 64 KiB). Raises OSError when it cannot start.

    Cancelled with the check: the whole process group is killed.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", **(environment or {})},
        start_new_session=True,
    )
    assert process.stdout is not None
    output = b""
    try:
        while data := await process.stdout.read(8192):
            output = (output + data)[:_MOST_OUTPUT]
        return await process.wait(), output.decode("utf-8", "replace")
    finally:
        if process.returncode is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            await asyncio.shield(process.wait())
