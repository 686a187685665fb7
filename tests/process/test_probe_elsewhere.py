"""`tocsin probe` as an agent in another place, and data that is pushed: over the public port of the real program."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, delete_from_gateway, push_to_gateway

pytestmark = pytest.mark.process

CONFIG = """
checks:
  - {{name: far, tcp: "127.0.0.1:{port}", every: 1s, locations: [elsewhere], labels: {{service: shop}}}}
services: [{{name: shop}}, {{name: forgotten}}]
"""


@pytest.fixture
def configured(tocsin: Any, service: Any) -> Any:
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(CONFIG.format(port=service.port))
    tocsin.start()
    return tocsin


@pytest.fixture
def agent(configured: Any) -> Iterator[subprocess.Popen[str]]:
    token = configured.cli("token", "create", "--role", "probe", "--place", "elsewhere").strip()
    arguments = ["probe", "--core", configured.url, "--token", token, "--location", "elsewhere"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin", *arguments],
        env=configured.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.kill()
    process.wait(10)


def stored_times(tocsin: Any) -> list[float]:
    answer = tocsin.get("/api/v1/query?query=probe_success%7Blocation%3D%22elsewhere%22%7D%5B5m%5D")
    return [float(t_s) for row in answer["data"]["result"] for t_s, _ in row["values"]]


def test_an_agent_runs_its_checks_and_tells_after_an_outage_what_it_saw(configured: Any, agent: Any) -> None:
    configured.until(
        lambda: configured.query('tocsin_check_state{check="far",state="up"} == 1'), 30, "the check is up by the agent's eyes"
    )
    assert configured.stop() == 0
    stopped_s = time.time()
    time.sleep(4)
    started_s = time.time()
    configured.start()
    configured.until(
        lambda: [t_s for t_s in stored_times(configured) if stopped_s < t_s < started_s], 30, "results of the outage are stored"
    )
    assert agent.poll() is None
    agent.terminate()
    assert agent.wait(20) == 0
    said = agent.stdout.read()
    assert "checks run on" in said
    assert "answers again" in said
    assert "Traceback" not in said


def test_an_agent_may_speak_for_its_own_place_only(configured: Any) -> None:
    def token(*words: str) -> str:
        made: str = configured.cli("token", "create", *words)
        return made.strip()

    plan, report, kept = "/api/tocsin/v1/probe/plan", "/api/tocsin/v1/probe/report", configured.token
    configured.post(plan, {"location": "elsewhere"}, status=403)  # an administrator is no probe
    configured.token = token("--role", "sender")
    configured.post(plan, {"location": "elsewhere"}, status=403)
    configured.token = token("--role", "probe", "--place", "elsewhere")
    assert configured.post(plan, {"location": "elsewhere"})["specs"][0]["id"] == "far"
    for other in ("moon", "local"):
        configured.post(plan, {"location": other}, status=403)
        configured.post(report, {"location": other, "results": []}, status=403)
    configured.post(report, {"location": "elsewhere", "results": [{"check_id": "far"}]}, status=400)
    configured.get("/api/tocsin/v1/checks", status=403)
    configured.post("/api/v2/alerts", [], status=403)
    configured.token = token("--role", "probe", "--place", "moon")
    assert configured.post(plan, {"location": "moon"})["specs"] == []
    configured.token = ""
    configured.post(plan, {"location": "elsewhere"}, status=401)
    configured.token = kept
    for words in (["--role", "probe"], ["--role", "viewer", "--place", "x"], ["--role", "probe", "--place", "local"]):
        assert "place of its own" in configured.cli("token", "create", *words, status=None)


def test_an_agent_does_not_send_its_token_in_the_clear_to_another_machine(configured: Any) -> None:
    words = ["probe", "--core", "http://tocsin.example", "--token", "tcs_x", "--location", "paris"]
    assert "use https://, or say --insecure" in configured.cli(*words, status=2)


def test_a_pushed_group_is_stored_and_ended(configured: Any) -> None:
    def push(method: str, path: str, body: bytes, kind: str = "text/plain") -> int:
        request = urllib.request.Request(configured.url + path, body, {"Content-Type": kind}, method=method)
        request.add_header("Authorization", f"Bearer {configured.token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    path = "/metrics/job/backup/path@base64/L3Zhci90bXA"
    assert push("POST", path, b"rows 3\n") == 200
    configured.until(lambda: configured.query('rows{job="backup",path="/var/tmp"} == 3'), 10, "the pushed sample")
    assert push("PUT", path, b"rows x\n") == 400
    assert push("DELETE", path, b"") == 202
    configured.until(lambda: not configured.query("rows"), 10, "the end of the series")
    assert push("POST", "/api/v1/otlp/v1/metrics", b"{}", "application/json") == 415
    assert push("POST", "/api/v1/otlp/v1/metrics", b"", "application/x-protobuf") == 200


def test_the_python_client_of_prometheus_pushes(configured: Any) -> None:
    registry = CollectorRegistry()
    Gauge("job_rows", "Rows copied.", ["table"], registry=registry).labels("orders").set(7)
    key = {"path": "/var/tmp", "empty": ""}
    push_to_gateway(configured.url, "backup", registry, grouping_key=key)
    configured.until(lambda: configured.query('job_rows{job="backup",table="orders",path="/var/tmp"} == 7'), 10, "the sample")
    delete_from_gateway(configured.url, "backup", grouping_key=key)
    configured.until(lambda: not configured.query("job_rows"), 10, "the end of the series")


def test_coverage_names_what_is_missing(configured: Any) -> None:
    said = configured.cli("coverage", status=1)
    assert "forgotten: no check has the label service: forgotten" in said
    assert "far: it has no result yet (runs at elsewhere)" in said
    assert "routes with no reachable person:" in said
