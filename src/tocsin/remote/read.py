"""A remote Prometheus, VictoriaMetrics, Thanos or Mimir as `Queryable`: rules, dashboards and backtests run on it.

Everything that keeps it from answering is a QueryError; for rules that means UNKNOWN, never "resolved".
"""

from __future__ import annotations

import base64
import gzip
import http.client
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from tocsin.errors import ExecutionError, ParseError, QueryCanceled, QueryError, QueryTimeout
from tocsin.model.labels import Labels
from tocsin.model.series import Annotations, Float64, Matrix, QueryResult, RawSeries, ValueType, Vector, absent

_LARGEST_ANSWER = 256 * 1024 * 1024
_FAILURES: dict[str, type[QueryError]] = {"bad_data": ParseError, "timeout": QueryTimeout, "canceled": QueryCanceled}

Exchange = Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]
"""Posts a form (path, headers, body) and returns status and body. Raises OSError or http.client.HTTPException."""


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """Where it is and how to ask. `url` up to before /api/v1."""

    url: str
    username: str = ""
    password: str = ""
    bearer_token: str = ""
    timeout_s: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict)

    def request_headers(self) -> dict[str, str]:
        found = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept-Encoding": "gzip",
            "User-Agent": "tocsin",
            **self.headers,
        }
        if self.bearer_token:
            found["Authorization"] = f"Bearer {self.bearer_token}"
        elif self.username:
            secret = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            found["Authorization"] = f"Basic {secret}"
        return found


class RemoteQueryable:
    """Asks over HTTP; one kept connection per calling thread."""

    def __init__(self, source: RemoteSource, *, exchange: Exchange | None = None) -> None:
        self._source = source
        self._headers = source.request_headers()
        self._exchange = exchange or _Connections(source).post

    def instant(self, query: str, t_ms: int) -> QueryResult:
        """One instant. Raises QueryError."""
        data, notes = self._ask("query", {"query": query, "time": _seconds(t_ms)})
        return _instant_result(data, notes, t_ms)

    def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
        """A range, on the steps start, start + step, ... Raises QueryError."""
        form = {"query": query, "start": _seconds(start_ms), "end": _seconds(end_ms), "step": _seconds(step_ms)}
        data, notes = self._ask("query_range", form)
        return _range_result(data, notes, np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64))

    def _ask(self, call: str, form: Mapping[str, str]) -> tuple[dict[str, Any], Annotations]:
        try:
            status, body = self._exchange(f"/api/v1/{call}", self._headers, urllib.parse.urlencode(form).encode())
        except TimeoutError as error:
            raise QueryTimeout(f"{self._source.url} did not answer within {self._source.timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise ExecutionError(f"{self._source.url} cannot be reached: {error}") from error
        try:
            answer = orjson.loads(body)
            ok = answer["status"] == "success"
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise ExecutionError(f"{self._source.url} answered {status} with something that is not Prometheus's JSON") from error
        if not ok:
            kind = _FAILURES.get(str(answer.get("errorType")), ExecutionError)
            raise kind(str(answer.get("error") or f"status {status}"))
        notes = Annotations(tuple(answer.get("warnings") or ()), tuple(answer.get("infos") or ()))
        if not isinstance(answer.get("data"), dict):
            raise ExecutionError(f"{self._source.url} answered without data")
        return answer["data"], notes


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"


def _instant_result(data: dict[str, Any], notes: Annotations, t_ms: int) -> QueryResult:
    try:
        result = data["result"]
        match data["resultType"]:
            case "vector":
                rows = [row for row in result if "value" in row]  # native histograms have no float value
                vector = Vector(
                    tuple(Labels(row["metric"]) for row in rows),
                    np.array([float(row["value"][1]) for row in rows], dtype=np.float64),
                    np.array([round(float(row["value"][0]) * 1000) for row in rows], dtype=np.int64),
                )
                return QueryResult(ValueType.VECTOR, t_ms, vector, annotations=notes)
            case "scalar":
                return QueryResult(ValueType.SCALAR, t_ms, scalar=float(result[1]), annotations=notes)
            case "string":
                return QueryResult(ValueType.STRING, t_ms, text=str(result[1]), annotations=notes)
            case "matrix":
                raw = tuple(RawSeries(Labels(row["metric"]), *_columns(row.get("values", []))) for row in result)
                return QueryResult(ValueType.MATRIX, t_ms, raw=raw, annotations=notes)
            case other:
                raise ExecutionError(f"unknown result type {other!r}")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ExecutionError(f"the source's answer cannot be read: {error}") from error


def _range_result(data: dict[str, Any], notes: Annotations, steps: np.ndarray[Any, np.dtype[np.int64]]) -> QueryResult:
    try:
        rows = data["result"]
        values = absent((len(rows), steps.size))
        for i, row in enumerate(rows):
            t_ms, column = _columns(row.get("values", []))
            places = np.searchsorted(steps, t_ms)
            inside = (places < steps.size) & (steps[np.minimum(places, steps.size - 1)] == t_ms)
            values[i, places[inside]] = column[inside]
        matrix = Matrix(tuple(Labels(row["metric"]) for row in rows), steps, values)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ExecutionError(f"the source's answer cannot be read: {error}") from error
    return QueryResult(ValueType.MATRIX, int(steps[0]) if steps.size else 0, matrix=matrix, annotations=notes)


def _columns(pairs: Sequence[Sequence[Any]]) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Float64]:
    """[[seconds, "value"], ...] -> t_ms int64 [m], values float64 [m]."""
    times = np.array([round(float(t) * 1000) for t, _ in pairs], dtype=np.int64)
    return times, np.array([float(value) for _, value in pairs], dtype=np.float64)


class _Connections:
    """Kept-alive connections, one per thread; a connection that broke while idle is opened again once."""

    def __init__(self, source: RemoteSource) -> None:
        self._url = urllib.parse.urlsplit(source.url.rstrip("/"))
        self._timeout_s = source.timeout_s
        self._local = threading.local()

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._send(kept, path, headers, body)
            except (http.client.HTTPException, ConnectionError):
                kept.close()
        fresh = self._local.connection = self._open()
        try:
            return self._send(fresh, path, headers, body)
        except (OSError, http.client.HTTPException):
            fresh.close()
            self._local.connection = None
            raise

    def _open(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _send(
        self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        connection.request("POST", self._url.path + path, body, dict(headers))
        answer = connection.getresponse()
        data = answer.read(_LARGEST_ANSWER + 1)
        if len(data) > _LARGEST_ANSWER:
            connection.close()
            raise http.client.HTTPException(f"an answer of more than {_LARGEST_ANSWER} bytes")
        if answer.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        return answer.status, data
