"""Run a program of this machine for a check: fixed arguments, no shell, bounded output, ended with the check."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence

from tocsin.collect.outcome import ProbeError
from tocsin.model.check import CheckReason

_MOST_OUTPUT = 64 * 1024
_MOST_READ = 1 << 20


async def run_command(
    words: Sequence[str],
    *,
    environment: dict[str, str] | None = None,
    given: bytes | None = None,
    most_output: int = _MOST_OUTPUT,
) -> tuple[int, str]:
    """Exit code (-signal when killed) and output, cut at `most_output`.

    Raises OSError when it cannot start, ProbeError when it does not stop writing: reading on would keep the others waiting.

    The output is both streams; with `given` (its input) it is stdout, for a program that answers in a format.
    Cancelled with the check: the whole process group is killed.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT if given is None else asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", **(environment or {})},
        start_new_session=True,
    )
    assert process.stdout is not None
    output = b""
    try:
        if process.stdin is not None:
            process.stdin.write(given or b"")
            process.stdin.close()
        read = 0
        while data := await process.stdout.read(65_536):
            output += data[: most_output - len(output)]
            read += len(data)
            if read > max(_MOST_READ, most_output):
                text = f"the program wrote more than {_MOST_READ >> 20} MiB and was stopped; it began with {output[:80]!r}"
                raise ProbeError(CheckReason.PROTOCOL, text)
        return await process.wait(), output.decode("utf-8", "replace")
    finally:
        if process.returncode is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            await asyncio.shield(process.wait())
