"""The real program, from a rule to a message with a chart, and answers that come back from Slack and from a link in a mail."""

from __future__ import annotations

import asyncio
import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from tests.fakes.mail import FakeMail
from tests.fakes.slack import FakeSlack
from tests.fakes.slack_socket import FakeSlackSocket

pytestmark = pytest.mark.process

CONFIG = """
external_url: {url}
shipped_rules: false
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
channels:
  slack: {{bot_token: xoxb-1, app_token: {token}, web_api: "{slack}"}}
users:
  - name: ana
    email: ana@shop.example
    contact: [{{channel: slack, address: C01, settings: {{user_id: U1}}}}]
rule_files: [rules.yml]
"""
RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: Full
        expr: vector(8) > 5
        labels: {severity: critical, service: shop}
        annotations: {summary: "shop: <!channel> full"}
"""


class SlackApp:
    """Slack with Socket Mode on a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.web = FakeSlack()
        self.web.__enter__()
        self.socket = self.do(self._open())

    async def _open(self) -> FakeSlackSocket:
        return await FakeSlackSocket(web_api=self.web.url).__aenter__()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def close(self) -> None:
        self.do(self.socket.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.web.__exit__()


@pytest.fixture
def slack() -> Iterator[SlackApp]:
    app = SlackApp()
    yield app
    app.close()


def post(url: str, **form: str) -> str:
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data=data, timeout=10) as answer:
        return str(answer.read().decode())


def test_a_page_is_answered_in_slack_and_judged_from_the_mail(tocsin: Any, slack: SlackApp) -> None:
    with FakeMail() as mail:
        tocsin.folder.mkdir(parents=True)
        (tocsin.folder / "rules.yml").write_text(RULES)
        where = {"url": tocsin.url, "mail": mail.port, "slack": slack.socket.web_api, "token": slack.socket.token}
        (tocsin.folder / "tocsin.yaml").write_text(CONFIG.format(**where))
        tocsin.start()

        def incident() -> dict[str, Any]:
            found = tocsin.get("/api/tocsin/v1/incidents?state=all")["incidents"]
            return dict(found[0]) if found else {}

        tocsin.until(lambda: slack.web.messages and mail.mails, 30, "the page reaches Slack and the mailbox")
        tocsin.until(lambda: slack.web.files, 20, "the chart follows in the thread")
        text, html = mail.mails[0]["text"], mail.mails[0]["html"]
        with urllib.request.urlopen(re.search(r"http\S+/charts/\S+", text)[0], timeout=10) as chart:  # type: ignore[index]
            assert chart.headers["content-type"] == "image/png" and chart.read(4) == b"\x89PNG"
        assert "Acknowledge" in html and not slack.web.broken

        link = re.search(r"http\S+/ack/\S+", text)[0]  # type: ignore[index]
        with urllib.request.urlopen(link, timeout=10) as page:
            assert "Acknowledge as ana" in page.read().decode()
        assert incident()["state"] == "triggered", "a mail scanner that looks at the link answers nothing"

        tocsin.until(lambda: "Slack Socket Mode: connected" in tocsin.cli("status"), 20, "the status shows the connection")
        slack.do(slack.socket.press("acknowledge", 1, times=2))
        tocsin.until(lambda: incident()["state"] == "acknowledged", 10, "the button acknowledges")
        assert incident()["acknowledged_by"] == "ana"
        slack.do(slack.socket.press("resolve", 1))
        tocsin.until(lambda: incident()["state"] == "resolved", 10, "the button resolves")
        post(link, answer="noise")
        assert tocsin.get("/api/tocsin/v1/incidents/1")["verdict"] == "noise"
        tocsin.until(lambda: len(slack.socket.acks) == 2, 10, "Slack has its acknowledgements")
        assert max(slack.socket.acks.values()) < 3
