"""Exemplars against a real Prometheus: both scrape one target, and Prometheus writes its own to us."""

from __future__ import annotations

import http.server
import threading
import time
from urllib.parse import urlencode

import pytest
from tests.conformance.promql_peer import prometheus

pytestmark = [pytest.mark.process, pytest.mark.peer]

BEGAN = int(time.time()) - 60
HEAD = "# TYPE lat histogram\n# TYPE req counter\n# TYPE g gauge\n"


class Target(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        at = 1_700_000_000
        body = HEAD + (
            f'lat_bucket{{le="0.1"}} 8 # {{}} 0.054 {at}.25\n'
            f'lat_bucket{{le="1"}} 11 # {{trace_id="KOO5S4vxi0o",q="a }} # {{"}} 0.67\n'
            f'lat_bucket{{le="+Inf"}} 17 # {{trace_id="oHg5SJYRHA0"}} 9.8 {at}.789\n'
            "lat_count 17\nlat_sum 324789.3\n"
            f'req_total{{code="200"}} 5 # {{trace_id="{"x" * 118}"}} 1 {at}\n'
            f'req_total{{code="500"}} 5 # {{trace_id="{"x" * 129}"}} 1 {at}\n'
            f'req_total{{code="404"}} 5 {BEGAN} # {{trace_id="at"}} +Inf\n'
            "g 1\n# EOF\n"
        )
        self.send_response(200)
        self.send_header("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def target():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


JOB = (
    "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n"
    "scrape_configs:\n- job_name: {job}\n  static_configs: [{{targets: ['{target}']}}]\n"
)


def exemplars(answer, job):
    """By series without the job; those without a time of their own are wherever the scrapes were."""
    out = {}
    for row in answer["data"]:
        labels = row["seriesLabels"]
        if labels.pop("job") == job:
            fixed = [
                (
                    one["labels"],
                    one["value"],
                    one["timestamp"] if one["timestamp"] < 1.71e9 else ["scrape", BEGAN][one["timestamp"] == BEGAN],
                )
                for one in row["exemplars"]
            ]
            out[tuple(sorted(labels.items()))] = fixed
    return out


def test_both_keep_the_same_exemplars(tocsin, tmp_path, target):
    message = "io.prometheus.write.v2.Request"
    tocsin.folder.mkdir(parents=True)
    config = "enable_features: [exemplar-storage]\nstorage: {exemplars: {max_exemplars: 1000}}\nshipped_rules: false\n"
    (tocsin.folder / "tocsin.yaml").write_text(config + JOB.format(job="own", target=target))
    tocsin.start()
    theirs = JOB.format(job="theirs", target=target) + (
        f"remote_write:\n- url: {tocsin.url}/api/v1/write\n  send_exemplars: true\n  protobuf_message: {message}\n"
        "  queue_config: {batch_send_deadline: 200ms}\n"
    )
    with prometheus(tmp_path / "p", "--enable-feature=exemplar-storage", config=theirs) as peer:
        query = '{__name__=~"lat_bucket|req_total|g"} + 1'

        def asked(query, **params):
            return tocsin.get("/api/v1/query_exemplars?" + urlencode({"query": query, **params}))

        def ours(job):
            return exemplars(asked(query), job)

        tocsin.until(lambda: len(ours("own")) >= 5 and len(ours("theirs")) >= 5, 20, "exemplars of both ways are there")
        want = exemplars(peer.get("/api/v1/query_exemplars", query=query), "theirs")
        assert ours("own") == want
        assert ours("theirs") == want
        for params in ({"start": 1_700_000_000, "end": 1_700_000_000.5}, {"start": 0, "end": 1}):
            want = exemplars(peer.get("/api/v1/query_exemplars", query="lat_bucket", **params), "theirs")
            assert exemplars(asked("lat_bucket", **params), "own") == want
        assert peer.raw("GET", "/api/v1/query_exemplars?query=1") == (204, b"")
        assert tocsin.get("/api/v1/query_exemplars?query=1", status=204) == ""
    before = ours("own")
    tocsin.kill_all()
    tocsin.start()
    tocsin.until(lambda: set(ours("own")) >= set(before), 10, "exemplars are there after a kill")
