"""Real programs as clients: a Prometheus that remote-writes into us, vmalert that queries us and sends its alerts."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager

import pytest
from tests.web.prometheus_pair import free_port, peer_binary, served, wait_until_ready

from tocsin.formats.remote_write import Decoder, decompress

pytestmark = pytest.mark.peer


@contextmanager
def running(command, log):
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)


def until(what, happened, log) -> None:
    deadline = time.monotonic() + 40
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen\n{log.read_text()[-2000:]}"
        time.sleep(0.1)


def test_a_prometheus_remote_writes_into_us(house, tmp_path):
    port, log = free_port(), tmp_path / "log"
    with served(house.client.app) as base:
        (tmp_path / "prometheus.yml").write_text(
            f"global: {{scrape_interval: 1s}}\n"
            f"scrape_configs: [{{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
            f"remote_write: [{{url: '{base}/api/v1/write'}}]\n"
        )
        command = [
            str(peer_binary("prometheus")), f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ]  # fmt: skip
        with running(command, log):
            until("a remote write", lambda: house.core.ingested, log)
        kind, sent = house.core.ingested[0]
        assert (kind, sent.headers["content-encoding"]) == ("write", "snappy")
        decoder = Decoder()
        requests = [decoder.decode(decompress(request.body, "snappy")) for _, request in house.core.ingested]
        assert "up" in {labels["__name__"] for request in requests for labels in request.batch.labels}


def test_vmalert_queries_us_and_sends_us_its_alerts(house, tmp_path):
    house.core.answers["alerts.post"] = {"accepted": 1}
    rules, log = tmp_path / "rules.yml", tmp_path / "log"
    rules.write_text(
        "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: vector(7) > 1, labels: {severity: warning}}]}]\n"
    )
    with served(house.client.app) as base:
        command = [
            str(peer_binary("vmalert")), f"-rule={rules}", f"-datasource.url={base}", f"-notifier.url={base}",
            f"-httpListenAddr=127.0.0.1:{free_port()}", "-evaluationInterval=1s",
        ]  # fmt: skip
        with running(command, log):
            until("an alert", lambda: house.core.commanded("alerts.post"), log)
        wait_until_ready(base, "/-/healthy")
    [alert] = house.core.commanded("alerts.post")[0]["alerts"]
    assert alert["labels"]["alertname"] == "Always" and alert["labels"]["severity"] == "warning"
