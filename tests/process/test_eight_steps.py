"""What a new user does and must see, from an empty folder to a page, its acknowledgement and its end; every process dies once."""

from __future__ import annotations

import re
import time
from typing import Any

import aiohttp
import pytest

pytestmark = pytest.mark.process

CONFIG = """
checks:
  - {{name: shop, http: "{service}/health", every: 60s, labels: {{service: shop, team: web}}}}
  - {{name: shop-port, tcp: "127.0.0.1:{service_port}", every: 60s, alert: false}}
  - {{name: mail, tcp: "127.0.0.1:{mail_port}", every: 60s}}
scrape_configs:
  - {{job_name: shop, scrape_interval: 1s, static_configs: [{{targets: ["127.0.0.1:{service_port}"]}}]}}
global: {{smtp_smarthost: "127.0.0.1:{mail_port}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
users:
  - {{name: ana, email: ana@shop.example, contact: [{{slack: "{chat}"}}]}}
  - {{name: ben, email: ben@shop.example}}
policies:
  - {{name: default, steps: [{{notify: ana, wait: 8s}}, {{notify: ben, wait: 60s}}]}}
"""


def test_the_eight_steps(tocsin: Any, service: Any, mail: Any, chat: Any) -> None:
    tocsin.start()

    # 1, 2: an address with a sign-in link; this host and Tocsin itself are there, nothing was configured.
    assert tocsin.link.startswith(tocsin.url)
    overview = tocsin.until(lambda: _with_host(tocsin), 20, "the overview shows this host")
    assert overview["hosts"][0]["memory"] > 0

    # 3: watch a URL; the first result has its phases.
    row = tocsin.post("/api/tocsin/v1/checks", {"url": f"{service.url}/"}, status=201)
    detail = tocsin.until(lambda: _with_result(tocsin, row["id"]), 5, "the first result of the watched URL")
    assert [phase["name"] for phase in detail["last_result"]["phases"]][:2] == ["resolve", "connect"]

    # 4: a file with a mistake is refused with its place; the corrected one is picked up.
    text = CONFIG.format(service=service.url, service_port=service.port, mail_port=mail.port, chat=chat.url)
    path = tocsin.folder / "tocsin.yaml"
    path.write_text(text.replace("users:", "usres:"))
    problem = tocsin.until(lambda: _mistakes(tocsin), 10, "the mistake is shown")
    assert any("usres" in entry["message"] and entry["place"].endswith("tocsin.yaml:9:1") for entry in problem), problem
    path.write_text(text)
    tocsin.until(
        lambda: {"shop", "mail"} <= {c["id"] for c in tocsin.get("/api/tocsin/v1/checks")["checks"]}, 10, "the file's checks"
    )
    tocsin.until(lambda: tocsin.query("shop_orders_total"), 15, "the scraped series")
    tocsin.until(lambda: _check(tocsin, "shop")["state"] == "up", 10, "the shop is up")

    # 5: the service stops; within 20 s of the first failure it is DOWN, and Ana is told by mail and chat.
    service.stop()
    tocsin.cli("check", "now", "shop", status=1)
    first_failure = time.monotonic()
    tocsin.until(lambda: _check(tocsin, "shop")["state"] == "down", 25, "the shop is down")
    tocsin.until(lambda: chat.messages and mail.messages, 15, "Ana is told by mail and chat")
    told_after = time.monotonic() - first_failure
    assert "refused" in _check(tocsin, "shop")["message"]
    incident = tocsin.get("/api/tocsin/v1/incidents?state=open")["incidents"][0]
    number = incident["number"]
    page = mail.messages[0]
    text_part = page.get_body(("plain",)).get_content()
    assert "shop" in page["Subject"]
    assert f"/i/{number}" in text_part
    assert page["Auto-Submitted"] == "auto-generated"
    assert mail.recipients[0] == "ana@shop.example"
    print(f"told {told_after:.1f} s after the first failure")

    # 7: kill -9 of each process in turn: back, nothing lost, nothing told twice.
    for name in ("web", "probe", "core"):
        killed = tocsin.kill(name)
        tocsin.until(lambda name=name, killed=killed: _alive(tocsin, name, killed), 10, f"{name} is back")
        tocsin.until(lambda: tocsin.get("/-/ready"), 15, f"ready again after {name} was killed")

    # Nobody answers: Ben is next. Then Ana's link: GET acts on nothing, POST acknowledges.
    tocsin.until(lambda: "ben@shop.example" in mail.recipients, 30, "the next step of the policy is paged")
    link = re.search(r"http://\S+/ack/\S+", text_part)
    assert link is not None
    ack_path = "/ack/" + link[0].split("/ack/")[1].rstrip(".>)")
    assert "Acknowledge" in tocsin.get(ack_path)
    assert tocsin.get(f"/api/tocsin/v1/incidents/{number}")["state"] == "triggered"
    _post_form(tocsin, ack_path)
    assert tocsin.get(f"/api/tocsin/v1/incidents/{number}")["acknowledged_by"] == "ana"

    # 6: the service is back: one "resolved" to everyone who was told.
    service.start()
    tocsin.cli("check", "now", "shop")
    tocsin.cli("check", "now", "shop")
    tocsin.until(lambda: tocsin.get(f"/api/tocsin/v1/incidents/{number}")["state"] == "resolved", 70, "the incident is resolved")
    tocsin.until(lambda: _resolved(mail.messages) == {"ana@shop.example", "ben@shop.example"}, 20, "everyone is told of the end")

    # Nothing twice: each person has one page by each way, and one end.
    per_kind = _kinds(tocsin, number)
    assert all(len(ids) == 1 for (_, _, kind), ids in per_kind.items() if kind in ("page", "resolved")), per_kind
    detail = tocsin.get(f"/api/tocsin/v1/incidents/{number}")
    verbs = {entry["verb"] for entry in detail["timeline"]}
    assert {"incident_opened", "acknowledged", "resolved"} & verbs or len(verbs) >= 4, verbs

    # 8: why.
    said = tocsin.cli("why", str(number))
    assert "ana" in said
    assert "ben" in said
    assert tocsin.cli("audit", "verify").strip() == "the chain holds"
    assert chat.problems == []
    assert tocsin.stop() == 0


def test_the_parent_killed_takes_its_children_and_the_next_start_goes_on(tocsin: Any, service: Any, mail: Any, chat: Any) -> None:
    text = CONFIG.format(service=service.url, service_port=service.port, mail_port=mail.port, chat=chat.url)
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(text)
    tocsin.start()
    tocsin.until(lambda: _check(tocsin, "shop")["state"] == "up", 15, "the shop is up")
    service.stop()
    tocsin.cli("check", "now", "shop", status=1)
    tocsin.until(lambda: chat.messages, 30, "Ana is told")
    children = list(tocsin.children().values())
    tocsin.process.kill()
    tocsin.process.wait(10)
    deadline = time.monotonic() + 15
    while any(child.is_running() and child.status() != "zombie" for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [child for child in children if child.is_running() and child.status() != "zombie"]
    pages = len(chat.messages)
    tocsin.start()
    assert [row["state"] for row in tocsin.get("/api/tocsin/v1/incidents?state=open")["incidents"]] == ["triggered"]
    tocsin.until(lambda: "ben@shop.example" in mail.recipients, 40, "the escalation goes on")
    assert len([m for m in chat.messages if "RESOLVED" not in str(m)]) == pages
    assert tocsin.stop() == 0


# -- helpers --


def _with_host(tocsin: Any) -> Any:
    overview = tocsin.get("/api/tocsin/v1/overview")
    return overview if overview["hosts"] and overview["hosts"][0]["memory"] is not None else None


def _mistakes(tocsin: Any) -> Any:
    return [entry for entry in tocsin.get("/api/tocsin/v1/session")["config_problems"] if not entry["warning"]]


def _with_result(tocsin: Any, check_id: str) -> Any:
    detail = tocsin.get(f"/api/tocsin/v1/checks/{check_id}")
    return detail if detail["last_result"] else None


def _check(tocsin: Any, check_id: str) -> Any:
    return next(row for row in tocsin.get("/api/tocsin/v1/checks")["checks"] if row["id"] == check_id)


def _alive(tocsin: Any, name: str, killed: int) -> bool:
    child = tocsin.children().get(name)
    return child is not None and child.pid != killed


def _post_form(tocsin: Any, path: str) -> None:
    import asyncio

    async def post() -> tuple[int, str]:
        headers = {"Origin": tocsin.url}
        async with aiohttp.ClientSession() as session, session.post(tocsin.url + path, data={}, headers=headers) as answer:
            return answer.status, await answer.text()

    status, text = asyncio.run(post())
    assert status == 200, text


def _resolved(messages: Any) -> set[str]:
    return {
        str(m["To"]).strip("<>").split("<")[-1] for m in messages if "resolved" in m.get_body(("plain",)).get_content().lower()
    }


def _kinds(tocsin: Any, number: int) -> dict[tuple[str, str, str], list[str]]:
    rows = tocsin.get(f"/api/tocsin/v1/notifications?incident={number}")["notifications"]
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["state"] in ("accepted", "delivered"):
            found.setdefault((row["recipient"], row["channel"], row["kind"]), []).append(row["id"])
    return found
