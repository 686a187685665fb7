"""What strangers write - labels, metric names, annotations, bodies, notes, names - is text on every page and in mails: no dialog
opens, nothing of it becomes an element, and the browser has no violation of the page's policy to report."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect
from tests.fakes.mail import FakeMail

CORPUS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "'><iframe srcdoc='<script>parent.alert(4)</script>'>",
    "</title></textarea></style><script>alert(5)</script>",
    "javascript:alert(6)",
    "{{constructor.constructor('alert(7)')()}}${alert(7)}{@html '<b>'}",
    "<a href=javascript:alert(8)>click</a><math><mi xlink:href=data:x,alert(8)>",
)
ALL = " ".join(CORPUS)
CONFIG = {
    "checks": [{"name": "hostile", "http": "", "every": "5s", "labels": {"service": CORPUS[1], "team": ALL[:200]}, "alert": {}}],
    "users": [{"name": "ana", "full_name": CORPUS[0], "email": "ana@shop.example"}],
    "policies": [{"name": "default", "steps": [{"notify": "ana", "wait": "30m"}]}],
    "receivers": [{"name": "ops", "policy": "default"}],
    "route": {"receiver": "ops", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "4h"},
}


@pytest.fixture
def enemy() -> Iterator[str]:
    """Fails with a body full of markup, and serves metrics whose labels and help are."""
    escaped = ALL.replace("\\", "\\\\").replace('"', '\\"')
    exposition = f'# HELP hostile_total {ALL}\n# TYPE hostile_total counter\nhostile_total{{kind="{escaped}"}} 3\n'
    exposition += f'{{"{escaped}",a="b"}} 1\n'

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            metrics = self.path == "/metrics"
            self.send_response(200 if metrics else 503, None if metrics else CORPUS[0])
            self.send_header("content-type", "text/plain; version=1.0.0" if metrics else "text/html")
            self.send_header("server", CORPUS[1])
            self.end_headers()
            self.wfile.write(exposition.encode() if metrics else ALL.encode())

        def log_message(self, *_args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def mail() -> Iterator[FakeMail]:
    with FakeMail() as fake:
        yield fake


def configuration(enemy: str, mail: FakeMail) -> str:
    check = {**CONFIG["checks"][0], "http": f"http://{enemy}/"}
    jobs = [{"job_name": "enemy", "scrape_interval": "1s", "static_configs": [{"targets": [enemy]}]}]
    smtp = {"smtp_smarthost": f"127.0.0.1:{mail.port}", "smtp_from": "tocsin@shop.example", "smtp_require_tls": False}
    return json.dumps({**CONFIG, "checks": [check], "scrape_configs": jobs, "global": smtp})


def fire(tocsin: Any) -> None:
    labels = {"alertname": CORPUS[0], "severity": "critical", "service": CORPUS[1], "path": ALL}
    annotations = {"summary": ALL, "description": CORPUS[4], "runbook_url": CORPUS[5], "dashboard": CORPUS[7]}
    alert = {"labels": labels, "annotations": annotations, "generatorURL": CORPUS[5]}
    headers = {"content-type": "application/json", "user-agent": CORPUS[2]}
    with urlopen(Request(tocsin.url + "/api/v2/alerts", json.dumps([alert]).encode(), headers), timeout=10) as answer:
        assert answer.status == 200


def write(page: Page, tocsin: Any, path: str, body: dict[str, Any]) -> None:
    csrf = page.request.get(tocsin.url + "/api/tocsin/v1/session").json()["csrf"]
    headers = {"x-csrf-token": csrf, "origin": tocsin.url, "user-agent": CORPUS[2]}
    answer = page.request.post(tocsin.url + "/api/tocsin/v1" + path, data=body, headers=headers)
    assert answer.ok, answer.text()


def elements_of_theirs(page: Page) -> list[str]:
    """Elements and addresses that only a text taken for markup can have brought."""
    found: list[str] = page.evaluate(
        """() => {
            const html = it => it.outerHTML
            return [
            ...[...document.querySelectorAll('img[src="x"], iframe, svg[onload], math, [onerror], [onload]')].map(html),
            ...[...document.querySelectorAll('script')].filter(it => !it.src).map(html),
            ...[...document.querySelectorAll('a[href], form[action]')]
                .map(it => it.getAttribute('href') ?? it.getAttribute('action'))
                .filter(it => /^\\s*(javascript|data|vbscript):/i.test(it)),
            ]
        }"""
    )
    return found


def strangers(page: Page, tocsin: Any) -> tuple[int, str]:
    """The number of the incident of what was fired, and the fingerprint; Tocsin's own alerts stand in the lists as well."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        alerts = page.request.get(tocsin.url + "/api/tocsin/v1/alerts").json()["alerts"]
        for alert in alerts:
            if alert["labels"]["alertname"] == CORPUS[0] and alert["incident"]:
                return alert["incident"], alert["fingerprint"]
        page.wait_for_timeout(200)
    raise AssertionError("what was fired makes no incident")


def test_what_strangers_write_stays_text_on_every_page_and_in_mails(
    start_tocsin: Any, open_browser: Any, enemy: str, mail: FakeMail, noise: Any
) -> None:
    tocsin = start_tocsin(configuration(enemy, mail))
    page = open_browser(tocsin)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    fire(tocsin)
    page.goto(tocsin.url + "/incidents")
    number, fingerprint = strangers(page, tocsin)
    write(page, tocsin, f"/incidents/{number}/note", {"text": ALL})
    write(page, tocsin, "/markers", {"kind": "deploy", "service": CORPUS[1], "text": ALL})
    write(page, tocsin, "/checks", {"url": f"http://{enemy}/", "name": CORPUS[3]})

    paths = {
        "/": "", "/alerts": CORPUS[0], f"/alerts/{fingerprint}": CORPUS[1], "/incidents": "", f"/i/{number}": CORPUS[4],
        "/services": CORPUS[1], f"/services/{quote(CORPUS[1], safe='')}": CORPUS[1], "/checks": CORPUS[3], "/checks/hostile": "",
        f"/explore?q={quote('hostile_total')}&mode=table": CORPUS[2], f"/explore?q={quote(ALL)}": "", "/oncall": "",
        "/notifications": "", f"/silences/new?m={quote('path=' + json.dumps(ALL))}": "", "/targets": "", "/rules": "",
        "/settings/audit": "", f"/?q={quote(ALL)}&scope={quote('a=' + ALL)}": "", "/dashboards": "", "/reports": "",
    }  # fmt: skip
    problems = []
    for path, text in paths.items():
        page.goto(tocsin.url + path)
        expect(page.locator("main h1").first).to_be_visible()
        if text:
            expect(page.locator("main").get_by_text(text).first).to_be_visible()
        page.wait_for_timeout(250)
        problems += [f"{path}: {one[:200]}" for one in elements_of_theirs(page)]
    assert not problems, "\n".join(problems)
    assert dialogs == []
    # What the browser reports of our policy it says on the console; an expression that is none is answered with 400.
    assert [line for line in noise.lines if "400" not in line] == []

    deadline = 100
    while not mail.mails and deadline:
        page.wait_for_timeout(200)
        deadline -= 1
    html = mail.mails[0]["html"]
    assert html
    reader = open_browser(tocsin, sign_in=False)
    reader.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    reader.set_content(html)
    assert elements_of_theirs(reader) == []
    assert dialogs == []
