"""The lines that the dashboard offers to copy are true: each runs in a program of its framework; /metrics tells of a request."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "FastAPI": """
import asyncio
from fastapi import FastAPI
app = FastAPI()
app.get("/hello")(lambda: "hello")
{lines}

async def get(path):
    said = []
    async def send(message): said.append(message)
    async def receive(): return {"type": "http.request", "body": b"", "more_body": False}
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
             "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [], "server": ("x", 80),
             "client": ("y", 1)}
    await app(scope, receive, send)
    return b"".join(message.get("body", b"") for message in said).decode()
asyncio.run(get("/hello"))
print(asyncio.run(get("/metrics")))
""",
    "Flask": """
from flask import Flask
app = Flask("shop")
app.get("/hello")(lambda: "hello")
{lines}
client = app.test_client()
client.get("/hello")
print(client.get("/metrics").get_data(as_text=True))
""",
    "Django": """
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
urlpatterns = [path("hello", lambda request: HttpResponse("hello"))]
{lines}
settings.configure(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
django.setup()
from django.test import Client
Client().get("/hello")
print(Client().get("/metrics").content.decode())
""",
}


def lines_of(framework: str) -> str:
    source = (ROOT / "ui" / "src" / "lib" / "additions.ts").read_text()
    found = re.search(rf"^  {framework}: '((?:[^'\\]|\\.)*)',$", source, re.MULTILINE)
    assert found, f"{framework} is not among the lines of ui/src/lib/additions.ts"
    text: str = json.loads(f'"{found[1].replace(chr(34), chr(92) + chr(34))}"')
    return text


@pytest.mark.parametrize("framework", PROGRAMS)
def test_the_lines_measure_a_request(framework: str, tmp_path: Path) -> None:
    pytest.importorskip(framework.lower())
    program = PROGRAMS[framework].replace("{lines}", lines_of(framework))
    path = {"PYTHONPATH": str(ROOT / "instrument" / "src"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path, env=path)
    assert done.returncode == 0, done.stderr[-2000:]
    counted = [line for line in done.stdout.splitlines() if line.startswith("http_server_request_duration_seconds_count")]
    assert any('"/hello"' in line or '"hello"' in line for line in counted), done.stdout[:3000]
