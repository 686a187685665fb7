"""`python -m tocsin_instrument.cron https://tocsin.example/hb/TOKEN -- backup.sh --full`: runs a command and tells Tocsin."""

from __future__ import annotations

import subprocess
import sys

from tocsin_instrument.jobs import heartbeat

_MOST_OUTPUT = 10_000


def main(words: list[str]) -> int:
    """The command's own exit code; 127 when it cannot be started, 64 for wrong usage."""
    if len(words) < 2 or "://" not in words[0]:
        print("usage: python -m tocsin_instrument.cron URL [--] COMMAND [ARGUMENT...]", file=sys.stderr)  # noqa: T201
        return 64
    url, command = words[0], words[2:] if words[1] == "--" else words[1:]
    heartbeat(url, "start")
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        heartbeat(url, "fail", str(error))
        print(error, file=sys.stderr)  # noqa: T201
        return 127
    sys.stdout.buffer.write(done.stdout)
    heartbeat(url, "success" if done.returncode == 0 else "fail", done.stdout[-_MOST_OUTPUT:].decode("utf-8", "replace"))
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
