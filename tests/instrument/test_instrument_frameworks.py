"""The set-ups for Flask, Django and Celery with the real frameworks, and several gunicorn workers behind one /metrics."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COUNT = "http_server_request_duration_seconds_count"
SOURCES = Path(__file__).parents[2] / "instrument" / "src"
Value = Callable[..., float]


def labels(method: str, route: str, status: int) -> dict[str, str]:
    return {"http_request_method": method, "http_route": route, "http_response_status_code": str(status)}


def test_flask_counts_by_rule(value: Value) -> None:
    from flask import Blueprint, Flask, abort
    from tocsin_instrument.flask import instrument

    app = Flask("flask-shop")

    @app.get("/flask/orders/<int:number>")
    def order(number: int) -> str:
        if number == 13:
            abort(409)
        return str(number)

    blueprint = Blueprint("items", "items", url_prefix="/flask/items")

    @blueprint.get("/<name>")
    def item(name: str) -> str:
        raise RuntimeError(name)

    app.register_blueprint(blueprint)
    instrument(app)
    client = app.test_client()

    def get(path: str) -> int:
        with client.get(path) as answer:  # read to its end and closed, as a server does
            return int(answer.status_code)

    assert [get(f"/flask/orders/{number}") for number in (1, 2, 13)] == [200, 200, 409]
    assert get("/flask/items/x") == 500
    assert get("/flask/nothing") == 404
    assert value(COUNT, **labels("GET", "/flask/orders/<int:number>", 200)) == 2
    assert value(COUNT, **labels("GET", "/flask/orders/<int:number>", 409)) == 1
    assert value(COUNT, **labels("GET", "/flask/items/<name>", 500)) == 1
    assert b"http_server_request_duration_seconds_bucket" in client.get("/metrics").data


@pytest.fixture(scope="module")
def django_urls() -> Any:
    """A Django project in one module: settings, urls, two views."""
    import types

    import django
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path
    from tocsin_instrument import django as ours

    def order(_request: HttpRequest, number: int) -> HttpResponse:
        if number == 13:
            raise RuntimeError("no such luck")
        return HttpResponse(str(number))

    urls = types.ModuleType("django_shop_urls")
    shop = [path("orders/<int:number>", order)]
    urls.urlpatterns = [path("django/", include(shop)), path("metrics", ours.metrics)]  # type: ignore[attr-defined]
    sys.modules["django_shop_urls"] = urls
    settings.configure(
        ROOT_URLCONF="django_shop_urls",
        MIDDLEWARE=["tocsin_instrument.django.MetricsMiddleware"],
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="only for this test",
        LOGGING_CONFIG=None,
    )
    django.setup()
    return urls


def test_django_counts_by_pattern(django_urls: Any, value: Value) -> None:
    from django.test import Client

    client = Client(raise_request_exception=False)
    assert client.get("/django/orders/1").content == b"1"
    assert client.get("/django/orders/13").status_code == 500
    assert client.get("/django/else").status_code == 404
    assert value(COUNT, **labels("GET", "/django/orders/<int:number>", 200)) == 1
    assert value(COUNT, **labels("GET", "/django/orders/<int:number>", 500)) == 1
    assert value(COUNT, **labels("GET", "", 404)) >= 1
    assert b"http_server_active_requests" in client.get("/metrics").content


async def test_django_asynchronous(django_urls: Any, value: Value) -> None:
    from django.test import AsyncClient

    before = value(COUNT, **labels("GET", "/django/orders/<int:number>", 200))
    client = AsyncClient()
    answers = await asyncio.gather(*(client.get(f"/django/orders/{n}") for n in range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert value(COUNT, **labels("GET", "/django/orders/<int:number>", 200)) == before + 3


def test_celery_tasks_are_jobs(value: Value) -> None:
    from celery import Celery
    from tocsin_instrument.celery import instrument

    app = Celery("worker", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    instrument(app)

    @app.task(name="nightly.report")
    def report(fail: bool) -> None:
        if fail:
            raise RuntimeError("no data")

    report.delay(False)
    report.delay(False)
    report.delay(True)
    assert value("job_runs_total", job_name="nightly.report", outcome="success") == 2
    assert value("job_runs_total", job_name="nightly.report", outcome="failure") == 1
    assert value("job_duration_seconds_count", job_name="nightly.report") == 3
    assert value("job_last_success_timestamp_seconds", job_name="nightly.report") > 0


SHOP = """
from flask import Flask
from tocsin_instrument.flask import instrument
import os

app = Flask(__name__)

@app.get("/whoami")
def whoami():
    return str(os.getpid())

instrument(app)
"""


@pytest.mark.process
def test_several_gunicorn_workers_answer_for_all(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "metrics").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--workers",
        "3",
        "--bind",
        f"127.0.0.1:{port}",
        "--no-control-socket",
        "shop:app",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}:{tmp_path}", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pids = set()
        deadline = time.monotonic() + 60
        asked = 0
        while len(pids) < 2 and time.monotonic() < deadline:
            body = read(f"http://127.0.0.1:{port}/whoami")
            if body:
                asked += 1
                pids.add(body)
            else:
                time.sleep(0.05)
        assert len(pids) >= 2, "one worker answered everything"
        # A worker counts a request after its last byte has left: what it counts last may come a moment later.
        counted = 0.0
        while counted < asked and time.monotonic() < deadline:
            text = read(f"http://127.0.0.1:{port}/metrics")
            found = re.search(rf'{COUNT}{{[^}}]*http_route="/whoami"[^}}]*}} ([0-9.]+)', text)
            counted = float(found[1]) if found else 0.0
        assert counted == asked
    finally:
        server.terminate()
        server.wait(20)


def read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
