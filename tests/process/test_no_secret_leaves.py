"""S4: a recognisable secret in every place of the configuration that takes one; nothing that the program says holds one."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.process

# @name@ becomes a secret of its own; nothing listens on port 9 of this machine, so everything fails and says why.
CONFIG = """
external_url: http://127.0.0.1
global:
  scrape_interval: 1s
  smtp_smarthost: 127.0.0.1:9
  smtp_from: tocsin@shop.example
  smtp_auth_username: tocsin
  smtp_auth_password: "@smtp@"
  slack_api_url: http://127.0.0.1:9/services/@slackglobal@
scrape_configs:
  - {job_name: basic, basic_auth: {username: u, password: "@scrapebasic@"}, static_configs: [{targets: ["127.0.0.1:9"]}]}
  - {job_name: bearer, authorization: {credentials: "@scrapebearer@"}, static_configs: [{targets: ["127.0.0.1:9"]}]}
  - job_name: oauth
    oauth2: {client_id: u, client_secret: "@scrapeoauth@", token_url: "http://127.0.0.1:9/token"}
    static_configs: [{targets: ["127.0.0.1:9"]}]
  - {job_name: proxied, proxy_url: "http://u:@scrapeproxy@@127.0.0.1:9", static_configs: [{targets: ["127.0.0.1:9"]}]}
remote_write:
  - {url: "http://127.0.0.1:9/write", basic_auth: {username: u, password: "@remotewrite@"}}
  - {url: "http://u:@remoteurl@@127.0.0.1:9/write"}
alerting:
  alertmanagers:
    - {authorization: {credentials: "@alertmanager@"}, static_configs: [{targets: ["127.0.0.1:9"]}]}
route: {receiver: all, group_wait: 0s, group_interval: 1s}
receivers:
  - name: all
    policy: default
  - name: places
    webhook_configs: [{url: "http://127.0.0.1:9/in/@webhook@", http_config: {authorization: {credentials: "@webhookbearer@"}}}]
    slack_configs: [{api_url: "http://127.0.0.1:9/services/@slack@", channel: "#ops"}]
    pagerduty_configs: [{routing_key: "@pagerduty@", url: "http://127.0.0.1:9/enqueue"}]
    opsgenie_configs: [{api_key: "@opsgenie@", api_url: "http://127.0.0.1:9/"}]
    telegram_configs: [{bot_token: "1:@telegram@", chat_id: 1, api_url: "http://127.0.0.1:9"}]
    pushover_configs: [{user_key: "@pushoveruser@", token: "@pushover@"}]
    discord_configs: [{webhook_url: "http://127.0.0.1:9/api/webhooks/@discord@"}]
    email_configs: [{to: ops@shop.example, auth_password: "@email@"}]
channels:
  slack: {bot_token: "xoxb-@slackbot@", app_token: "xapp-@slackapp@", signing_secret: "@slacksigning@", api: "http://127.0.0.1:9"}
users:
  - {name: ana, email: ana@shop.example, contact: [{slack: "http://127.0.0.1:9/services/@contactslack@"}]}
  - {name: ben, contact: [{webhook: "http://127.0.0.1:9/hook/@contacthook@"}]}
policies: [{name: default, steps: [{notify: [ana, ben, "receiver:places"], wait: 5m}]}]
dead_man: {url: "http://127.0.0.1:9/ping/@deadman@", every: 10s}
web: {oidc: {issuer: "http://127.0.0.1:9", client_id: t, client_secret: "@oidc@", default_role: viewer}}
checks:
  - {name: web, http: "http://u:@checkurl@@127.0.0.1:9/", every: 5s}
  - {name: bearer, http: "http://127.0.0.1:9/", bearer: "@checkbearer@", every: 5s}
  - {name: header, http: "http://127.0.0.1:9/", headers: {Authorization: "Bearer @checkheader@"}, every: 5s}
  - {name: key, http: "http://127.0.0.1:9/", headers: {X-Api-Key: "@checkkey@"}, every: 5s}
  - {name: password, http: "http://127.0.0.1:9/", username: u, password: "@checkpassword@", every: 5s}
  - {name: pg, postgres: "postgresql://u:@checkpg@@127.0.0.1:9/shop", every: 5s}
  - {name: cache, redis: "redis://:@checkredis@@127.0.0.1:9/0", every: 5s}
  - {name: my, mysql: "mysql://u:@checkmysql@@127.0.0.1:9/shop", every: 5s}
  - {name: mq, rabbitmq: "amqp://u:@checkamqp@@127.0.0.1:9/", queue: mail, every: 5s}
  - {name: nightly, heartbeat: 1h, token: "@heartbeat@"}
"""
ALERT = {"labels": {"alertname": "Canary", "severity": "critical", "service": "shop"}, "annotations": {"summary": "canary"}}
SECRETS = {
    name: f"cAnArY0{index:02d}{name[::-1]}" for index, name in enumerate(sorted(set(re.findall(r"(?<!@)@(\w+)@", CONFIG))))
}
CHECKS = ("web", "bearer", "header", "key", "password", "pg", "cache", "my", "mq", "nightly")


def paths(tocsin: Any) -> list[str]:
    """Every address that answers to a GET, with the parameters that lead to something."""
    document = tocsin.get("/api/tocsin/v1/openapi.json")
    found = {"/", "/login", "/metrics", "/federate?match[]={__name__!=''}", "/-/healthy", "/-/ready", "/login/oidc"}
    found |= {f"/api/v1/{name}" for name in ("rules", "alerts", "targets", "scrape_pools", "targets/metadata", "alertmanagers")}
    found |= {f"/api/v1/status/{name}" for name in ("config", "flags", "runtimeinfo", "buildinfo", "tsdb")}
    found |= {f"/api/v2/{name}" for name in ("status", "receivers", "alerts", "alerts/groups", "silences")}
    values = {
        "number": ["1"],
        "id": list(CHECKS),
        "name": ["default", "shop", "ana", "tocsin"],
        "fingerprint": ["0"],
        "kind": ["x"],
    }
    for path, methods in document["paths"].items():
        if "get" not in methods or path == "/stream":
            continue
        names = re.findall(r"\{(\w+)\}", path)
        for value in values.get(names[0], ["1"]) if names else [""]:
            found.add("/api/tocsin/v1" + re.sub(r"\{\w+\}", quote(value), path))
    return sorted(found)


def leaks(text: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret in text]


def everything(tocsin: Any, path: str) -> str:
    """Headers and body of an answer, whatever its status."""
    asked = Request(tocsin.url + quote(path, safe="/?=&[]{}"), headers={"authorization": f"Bearer {tocsin.token}"})
    try:
        with urlopen(asked, timeout=30) as answer:
            return f"{answer.headers}\n{answer.read().decode(errors='replace')}"
    except HTTPError as error:
        return f"{error.headers}\n{error.read().decode(errors='replace')}"


def tables(data: Path) -> dict[str, str]:
    """What the tables that are shown hold. `settings` of destinations have to be kept somewhere: not here."""
    with sqlite3.connect(f"file:{data / 'state.db'}?mode=ro", uri=True) as db:
        names = [row[0] for row in db.execute("select name from sqlite_master where type='table' and name not like 'sqlite_%'")]
        return {name: "\n".join(map(str, db.execute(f'select * from "{name}"'))) for name in names}


def test_no_secret_of_the_configuration_is_ever_said(tocsin: Any) -> None:
    tocsin.folder.mkdir(parents=True)
    text = re.sub(r"(?<!@)@(\w+)@", lambda match: SECRETS[match[1]], CONFIG)
    (tocsin.folder / "tocsin.yaml").write_text(text)
    said = {"config check": tocsin.cli("config", "check", "-c", "tocsin.yaml", status=None)}
    tocsin.start("--config", "tocsin.yaml", "--log-level", "debug")
    tocsin.post("/api/v2/alerts", [ALERT])
    tocsin.until(lambda: tocsin.get("/api/tocsin/v1/incidents")["incidents"], 30, "an incident")

    def tried() -> bool:
        rows = tocsin.get("/api/tocsin/v1/notifications")["notifications"]
        return len({row["channel"] for row in rows if row["attempts"]}) >= 4

    tocsin.until(tried, 40, "every channel has failed once")
    tocsin.until(lambda: len(tocsin.get("/api/tocsin/v1/checks/pg/runs")["runs"]) > 0, 30, "a run of a check")
    for path in paths(tocsin):
        said[path] = everything(tocsin, path)
    said["status"] = tocsin.cli("status", status=None)
    said |= {f"table {name}": rows for name, rows in tables(tocsin.data).items()}
    tocsin.stop()
    said["log"] = "\n".join(tocsin.lines)
    found = {place: names for place, value in said.items() if (names := leaks(value))}
    assert not found, json.dumps(found, indent=1)
