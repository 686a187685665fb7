"""Samples sent on to a real Prometheus and a real VictoriaMetrics: nothing is lost while one is away and Tocsin is killed."""

from __future__ import annotations

import http.server
import itertools
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.conformance.promql_peer import PrometheusClient, free_port, peer_binary

pytestmark = [pytest.mark.process, pytest.mark.peer]
COUNT = itertools.count(1)


class Target(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        number = next(COUNT)
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        lines = "".join(f'm{{n="{n}"}} {number * n}\n' for n in range(20))
        self.wfile.write(f"# TYPE m gauge\n# HELP m Help.\n{lines}drop_me 1\n".encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def target():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


class Receiver:
    """A store that can be stopped and started again."""

    def __init__(self, folder: Path, name: str):
        self.port, self.folder, self.name = free_port(), folder, name
        self.process = None

    def start(self):
        self.folder.mkdir(exist_ok=True)
        if self.name == "prometheus":
            (self.folder / "p.yml").write_text("global: {}\nstorage: {tsdb: {out_of_order_time_window: 1h}}\n")
            flags = [
                f"--config.file={self.folder / 'p.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--web.enable-remote-write-receiver",
                "--log.level=error",
            ]
        else:
            flags = [f"-storageDataPath={self.folder / 'data'}", f"-httpListenAddr=127.0.0.1:{self.port}"]
        self.process = subprocess.Popen([peer_binary(self.name), *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def values(self, query="m[10m]"):
        """By series: time -> value."""
        client = PrometheusClient(self.port)
        try:
            answer = client.get("/api/v1/query", query=query, time=str(time.time() + 2), nocache="1")
        except OSError:
            return {}
        finally:
            client.close()
        return raw(answer["data"]["result"])


def raw(rows):
    return {row["metric"]["n"]: {round(t, 3): v for t, v in row["values"]} for row in rows}


@pytest.fixture
def receivers(tmp_path):
    both = [Receiver(tmp_path / name, name) for name in ("prometheus", "victoria-metrics")]
    for one in both:
        one.start()
    yield both
    for one in both:
        one.stop()


def test_nothing_is_lost_while_a_receiver_is_away_and_tocsin_is_killed(tocsin, target, receivers):
    peer, victoria = receivers
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(
        f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{site: here}}}}
shipped_rules: false
host: {{enabled: false}}
scrape_configs: [{{job_name: t, static_configs: [{{targets: ['{target}']}}]}}]
remote_write:
- url: http://127.0.0.1:{peer.port}/api/v1/write
  protobuf_message: io.prometheus.write.v2.Request
  write_relabel_configs: [{{source_labels: [__name__], regex: drop_me, action: drop}}]
- url: http://127.0.0.1:{victoria.port}/api/v1/write
  name: victoria
  queue_config: {{max_samples_per_send: 7, max_backoff: 500ms}}
"""
    )
    tocsin.start()
    tocsin.until(lambda: all(len(one.values().get("3", {})) > 1 for one in receivers), 30, "both have samples")
    peer.stop()
    before = len(victoria.values()["3"])
    tocsin.until(lambda: len(victoria.values()["3"]) > before + 1, 20, "the other one still gets samples")
    tocsin.kill_all()
    tocsin.start()
    peer.start()

    def own():
        return raw(tocsin.get("/api/v1/query?query=m[10m]")["data"]["result"])

    def complete():
        mine = own()
        if not mine.get("3"):
            return False  # started, but the first look came before the log was read
        newest = max(max(samples) for samples in mine.values())
        wanted = {n: {t: v for t, v in samples.items() if t < newest - 2} for n, samples in mine.items()}
        return (
            all(one.values().get(n, {}).items() >= s.items() for one in receivers for n, s in wanted.items())
            and len(wanted["3"]) > 5
        )

    tocsin.until(complete, 30, "both have everything that Tocsin has")
    assert peer.values("drop_me[10m]") == {}
    told = tocsin.query('tocsin_remote_write_samples_total{outcome="refused"}')
    assert sum(value for _, value in told) == 0
    client = PrometheusClient(peer.port)
    assert client.get("/api/v1/query", query='count(m{site="here"})')["data"]["result"][0]["value"][1] == "20"
    client.close()
