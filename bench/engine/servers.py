"""The real programs side by side: Tocsin, Prometheus, VictoriaMetrics, each in a folder and on a port of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PEERS = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin"
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One running program."""

    name: str
    folder: Path
    port: int
    command: Sequence[str]
    ready_path: str
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start it; returns the seconds until it says that it is ready."""
        log = (self.folder / "log.txt").open("ab")
        began = time.monotonic()
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, env={**os.environ, **self.environment}, stdout=log, stderr=log, start_new_session=True
        )
        while time.monotonic() - began < 180:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {(self.folder / 'log.txt').read_text()[-2000:]}")
            if self.get(self.ready_path)[0] == 200:
                return time.monotonic() - began
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} is not ready after three minutes")

    def kill(self) -> None:
        """As a crash: everything at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def reload_rules(self, text: str) -> None:
        """Other rules from now on."""
        assert self.process is not None
        (self.folder / "rules.yml").write_text(text or "groups: []\n")
        os.kill(self.process.pid, signal.SIGHUP)

    def pids(self) -> list[int]:
        """The program and its children."""
        assert self.process is not None
        found, parents = [self.process.pid], {self.process.pid}
        for entry in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
            with contextlib.suppress(OSError):
                if int(_stat(entry)[1]) in parents:
                    found.append(entry)
                    parents.add(entry)
        return found

    def cpu_s(self) -> float:
        """User and system time of all its processes so far."""
        total = 0.0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = _stat(pid)
                total += (int(fields[11]) + int(fields[12])) / _TICK
        return total

    def pss_bytes(self) -> int:
        """Proportional set size of all its processes: shared pages counted once."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total

    def samples_in(self, least: int) -> int:
        """How many targets have given at least so many samples."""
        status, body = self.get(f"/api/v1/query?query=count(scrape_samples_scraped>={least})")
        found = json.loads(body)["data"]["result"] if status == 200 else []
        return int(found[0]["value"][1]) if found else 0

    def rule_evaluations(self) -> float:
        """Made so far."""
        lines = self.get("/metrics")[1].decode().splitlines()
        found = [line for line in lines if line.startswith(f"{self.name}_rule_evaluations_total")]
        return sum(float(line.split()[-1]) for line in found)

    def disk_bytes(self, *parts: str) -> int:
        roots = [self.folder / "data" / part for part in parts] or [self.folder / "data"]
        return sum(path.stat().st_size for root in roots for path in root.rglob("*") if path.is_file())

    def get(self, path: str, timeout_s: float = 60.0) -> tuple[int, bytes]:
        return self.send(path, None, {}, timeout_s)

    def send(self, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float = 60.0) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, data=body, headers=dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Make = Callable[[Path, int, str, str], Server]


def tocsin(folder: Path, port: int, scrapes: str, rules: str) -> Server:
    (folder / "rules.yml").write_text(rules or "groups: []\n")
    (folder / "tocsin.yaml").write_text(
        f"host: {{enabled: false}}\nshipped_rules: false\nrule_files: [rules.yml]\n{scrapes or 'scrape_configs: []'}\n"
    )
    command = [
        sys.executable,
        "-m",
        "tocsin",
        "serve",
        "--config",
        "tocsin.yaml",
        "--data-dir",
        "data",
        "--listen",
        f"127.0.0.1:{port}",
    ]
    # Bytecode is kept, as it is wherever the program is installed: a shell that forbids it would make every start compile.
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PYTHONDONTWRITEBYTECODE": ""}
    return Server("tocsin", folder, port, command, "/-/ready", environment)


def prometheus(folder: Path, port: int, scrapes: str, rules: str) -> Server:
    (folder / "rules.yml").write_text(rules or "groups: []\n")
    (folder / "prometheus.yml").write_text(f"rule_files: [rules.yml]\n{scrapes or 'scrape_configs: []'}\n")
    command = [
        str(PEERS / "prometheus"),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--web.enable-admin-api",
        "--enable-feature=promql-experimental-functions",
    ]
    return Server("prometheus", folder, port, command, "/-/ready")


def victoria(folder: Path, port: int, scrapes: str, _rules: str) -> Server:
    """Its rules live in a program of their own (vmalert), so it takes no part where rules are measured."""
    (folder / "scrape.yml").write_text(scrapes or "scrape_configs: []\n")
    command = [
        str(PEERS / "victoria-metrics"),
        f"-httpListenAddr=127.0.0.1:{port}",
        "-storageDataPath=data",
        "-promscrape.config=scrape.yml",
        "-promscrape.config.strictParse=false",
        "-retentionPeriod=10y",
        "-search.disableCache=true",
    ]
    return Server("victoria", folder, port, command, "/health")


MAKERS: dict[str, Make] = {"tocsin": tocsin, "prometheus": prometheus, "victoria": victoria}


@contextlib.contextmanager
def running(names: Sequence[str], scrapes: str = "", rules: str = "") -> Iterator[dict[str, Server]]:
    """Start these programs with the same scrape configuration and rules; everything is gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    servers: dict[str, Server] = {}
    try:
        for name in names:
            folder = root / name
            folder.mkdir()
            servers[name] = MAKERS[name](folder, free_port(), scrapes, rules)
            servers[name].start()
        yield servers
    finally:
        for server in servers.values():
            server.kill()
        shutil.rmtree(root, ignore_errors=True)
