"""A real Prometheus beside the real Tocsin, and raw requests to either."""

from __future__ import annotations

import contextlib
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.promql_peer import free_port, peer_binary


@contextlib.contextmanager
def prometheus_in(folder: Path, config: str = "global: {}\n") -> Iterator[int]:
    """Its port. Remote write is open."""
    port = free_port()
    (folder / "p.yml").write_text(config)
    flags = [f"--config.file={folder}/p.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    command = [peer_binary("prometheus"), *flags, "--web.enable-remote-write-receiver", "--log.level=error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while send(port, "/-/ready", None)[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def send(port: int, path: str, body: bytes | None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and text; 0 where there is no answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)
