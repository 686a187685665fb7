"""A remote Prometheus as Queryable: its answers become ours, its outages become errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import orjson
import pytest

from tocsin.errors import ExecutionError, ParseError, QueryTimeout
from tocsin.model.labels import Labels
from tocsin.model.series import ValueType, is_absent
from tocsin.remote.read import RemoteQueryable, RemoteSource


def answering(payload: object, status: int = 200) -> RemoteQueryable:
    def exchange(_path: str, _headers: Mapping[str, str], _body: bytes) -> tuple[int, bytes]:
        return status, orjson.dumps(payload)

    return RemoteQueryable(RemoteSource("http://far.example"), exchange=exchange)


def success(kind: str, result: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, "warnings": ["w"]}


def test_a_vector_keeps_labels_values_and_warnings() -> None:
    result = answering(success("vector", [{"metric": {"a": "b"}, "value": [1.5, "NaN"]}])).instant("x", 1500)
    assert result.vector is not None
    assert result.vector.labels == (Labels({"a": "b"}),)
    assert np.isnan(result.vector.values).all()
    assert result.vector.t_ms.tolist() == [1500]
    assert result.annotations.warnings == ("w",)


def test_a_scalar_and_a_string() -> None:
    assert answering(success("scalar", [1, "+Inf"])).instant("1/0", 0).scalar == float("inf")
    assert answering(success("string", [1, "s"])).instant('"s"', 0).type is ValueType.STRING


def test_a_range_has_absent_cells_where_the_source_has_no_point() -> None:
    result = answering(success("matrix", [{"metric": {}, "values": [[0, "1"], [30, "2"]]}])).range("x", 0, 30_000, 15_000)
    assert result.matrix is not None
    assert is_absent(result.matrix.values).tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("payload", "status", "error"),
    [
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400, ParseError),
        ({"status": "error", "errorType": "timeout", "error": "slow"}, 503, QueryTimeout),
        ({"status": "error", "errorType": "internal", "error": "x"}, 500, ExecutionError),
        ("<html>", 502, ExecutionError),
        ({"status": "success", "data": None}, 200, ExecutionError),
        (success("vector", [{"metric": {}, "value": ["x"]}]), 200, ExecutionError),
        (success("pie", []), 200, ExecutionError),
    ],
)
def test_what_is_wrong_at_the_source_is_a_query_error(payload: object, status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        answering(payload, status).instant("x", 0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/prefix/api/v1/query"
        assert self.headers["Authorization"] == "Bearer secret"
        assert b"query=up" in body
        data = orjson.dumps(success("scalar", [0, "7"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


async def test_over_a_real_connection_kept_and_lost(server: ThreadingHTTPServer) -> None:
    source = RemoteSource(f"http://127.0.0.1:{server.server_port}/prefix/", bearer_token="secret", timeout_s=5)
    queryable = RemoteQueryable(source)
    assert queryable.instant("up", 0).scalar == 7
    assert (await asyncio.to_thread(queryable.instant, "up", 0)).scalar == 7
    assert queryable.instant("up", 0).scalar == 7


def test_nobody_there_is_an_error_that_names_the_address() -> None:
    queryable = RemoteQueryable(RemoteSource("http://127.0.0.1:1", timeout_s=1))
    with pytest.raises(ExecutionError, match=r"127\.0\.0\.1:1 cannot be reached"):
        queryable.instant("up", 0)
