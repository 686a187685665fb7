"""Texts of an operator's own: Alertmanager's data, escaped labels, and a plain page whenever the template fails."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import Any

import pytest
from tests.fakes.chats import FakeChats
from tests.fakes.slack import FakeSlack
from tests.notify.test_real_ports_and_providers import NASTY, message, send

from tocsin.model.notification import DeliveryOutcome, Message, NotificationKind
from tocsin.notify.channel import build
from tocsin.notify.channels.email import Email, compose
from tocsin.notify.channels.pagerduty import PagerDuty
from tocsin.notify.channels.slack import Slack
from tocsin.notify.render import subject
from tocsin.notify.texts import Worded


def slack(**texts: str) -> Slack:
    channel = build("slack", {"api_url": "https://hooks.slack.example/x", "texts": texts})
    assert isinstance(channel, Slack)
    return channel


def alert(instance: str, *, ended: int = 0, **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": "Down", "service": "shop", "instance": instance, **labels},
        "annotations": {"summary": f"{instance} is down"},
        "starts_at_ms": 1_767_225_600_000,
        "ends_at_ms": ended,
        "fingerprint": "f" * 16,
        "generator_url": "https://prom.example/g?a=1&b=2",
    }


def page_of(*alerts: dict[str, Any], **more: Any) -> Message:
    given = message(alerts=0, **more)
    group = {"receiver": "team", "group_labels": {"alertname": "Down"}, "external_url": "https://tocsin.example"}
    return dataclasses.replace(given, alerts=alerts, group=group)


TWO = page_of(alert("a"), alert("b", ended=5))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ .Status | toUpper }} {{ .Receiver }} {{ .ExternalURL }}", "FIRING team https://tocsin.example"),
        ("{{ len .Alerts }} {{ .Alerts.Firing | len }} {{ .Alerts.Resolved | len }}", "2 1 1"),
        ("{{ .CommonLabels.service }}{{ .CommonLabels.nothing }}{{ .CommonAnnotations.summary }}", "shop"),
        ("{{ range .Alerts }}{{ .Labels.instance }}:{{ .Annotations.summary }};{{ end }}", "a:a is down;b:b is down;"),
        ("{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value }} {{ end }}", "alertname=Down service=shop"),
        ("{{ with .CommonLabels.Remove .GroupLabels.Names }}{{ .Values | join `,` }}{{ end }}", "shop"),
        ('{{ .GroupLabels.SortedPairs.Values | join " " }}', "Down"),
        ("{{ (index .Alerts 0).StartsAt.Format `2006-01-02 15:04` }}", "2026-01-01 00:00"),
        ("{{ range $i, $a := .Alerts.Firing }}{{ $i }}{{ $a.Fingerprint }}{{ end }}", "0" + "f" * 16),
        ('{{ reReplaceAll "o+" "0" .CommonLabels.service }}', "sh0p"),
        ('{{ (index .Alerts 0).StartsAt | tz "Europe/Paris" | date "15:04 MST" }}', "01:00 CET"),
        ('{{ "a?b" | base64encode }}{{ $d := dict "k" .Status }}{{ $d.k }}', "YT9ifiring"),
        ('{{ template "__subject" . }}', "[FIRING:1] Down (shop)"),
        ("{{ if eq .Status `firing` }}{{ .CommonLabels.service | title }}{{ end }}", "Shop"),
        ("{{ .GroupLabels | toJson }}", '{"alertname":"Down"}'),
    ],
)
def test_alertmanagers_data_and_functions_are_there(template: str, text: str) -> None:
    assert slack(title=template).worded("title", TWO) == text


@pytest.mark.parametrize("template", ["{{ if }}", "{{ nobody .Status }}", "{{ .Status"])
def test_what_cannot_be_run_is_refused_when_it_is_read(template: str) -> None:
    with pytest.raises(ValueError, match="title: not a template that Tocsin can run"):
        slack(title=template)


@pytest.mark.parametrize(
    "template",
    ["{{ .Nothing }}", '{{ template "away" . }}', "{{ index .Alerts 9 }}", "{{ range 9000000 }}x{{ end }}", "{{ .Status.x }}"],
)
def test_a_template_that_fails_leaves_the_plain_page(template: str) -> None:
    assert slack(title=template, text=template)._body(TWO) == slack()._body(TWO)


def test_a_library_lends_its_templates() -> None:
    library = {"my.tmpl": '{{ define "mine" }}{{ .CommonLabels.service }} is in trouble{{ end }}'}
    settings = {
        "api_url": "https://hooks.slack.example/x",
        "texts": {"title": '{{ template "mine" . }}'},
        "text_library": library,
    }
    channel = build("slack", settings)
    assert isinstance(channel, Worded)
    assert channel.worded("title", TWO) == "shop is in trouble"


@pytest.mark.parametrize(("state", "own"), [("triggered", True), ("resolved", True), ("acknowledged", False), ("test", False)])
def test_news_that_alertmanager_does_not_know_is_told_in_our_words(state: str, own: bool) -> None:
    kind = NotificationKind.RESOLVED if state == "resolved" else NotificationKind.PAGE
    given = page_of(alert("a"), kind=kind, state=state)
    assert (slack(title="{{ .Status }}").worded("title", given) != "") is own


def test_a_label_can_neither_mention_nor_link_in_slack_but_the_template_can() -> None:
    given = page_of(alert("a", note="<!channel>"))
    body = slack(text="<{{ .ExternalURL }}|open> {{ .CommonLabels.note }}", title="{{ .CommonLabels.note }}")._body(given)
    assert body["blocks"][1]["text"]["text"] == "<https://tocsin.example|open> &lt;!channel&gt;"
    assert body["text"] == "&lt;!channel&gt;"
    assert body["blocks"][-1]["type"] == "actions"


async def test_slack_takes_own_texts_whatever_the_labels_hold() -> None:
    texts = {"title": "{{ .CommonLabels }}" * 9, "text": "{{ range .Alerts }}{{ .Labels }} {{ .Annotations.summary }}{{ end }}"}
    with FakeSlack() as server:
        settings = {"api_url": f"{server.url}/services/T/B/x", "texts": texts}
        answer = await send("slack", settings, message(title=NASTY, alerts=300))
        assert answer.outcome is DeliveryOutcome.ACCEPTED, answer
        assert not server.broken


def test_a_mail_of_ones_own_keeps_the_ways_to_answer() -> None:
    own = {"subject": "Shop\r\nBcc: x@y.example", "text": "own words", "html": "<b>own</b>"}
    mail = compose(TWO, sender="t@x.example", recipient="ana@x.example", host="h", own=own)
    assert mail["Subject"] == "Shop Bcc: x@y.example"
    assert mail["Bcc"] is None
    plain, rich = (part.get_content() for part in mail.iter_parts())
    assert plain.startswith("own words")
    assert "https://tocsin.example/ack/x" in plain
    assert "<b>own</b>" in rich
    assert "https://tocsin.example/ack/x" in rich


def test_labels_are_escaped_in_the_html_of_a_mail() -> None:
    mail = build("email", {"to": "ana@x.example", "texts": {"html": "<i>{{ .CommonLabels.note }}</i>"}})
    assert isinstance(mail, Email)
    with_script = page_of(alert("a", note="<script>"))
    assert mail.worded("html", with_script, clean=escape) == "<i>&lt;script&gt;</i>"


def test_a_mail_whose_subject_fails_has_ours() -> None:
    mail = compose(TWO, sender="t@x.example", recipient="ana@x.example", host="h", own={"subject": "", "text": "", "html": ""})
    assert mail["Subject"] == subject(TWO)


def test_pagerduty_shows_own_description_and_details() -> None:
    texts = {
        "description": "{{ .CommonLabels.service }} down",
        "details.runs on": "{{ .GroupLabels.alertname }}",
        "details.bad": "{{ .No }}",
    }
    channel = build("pagerduty", {"routing_key": "k" * 32, "texts": texts})
    assert isinstance(channel, PagerDuty)
    shown = channel.event(TWO, "h")["payload"]
    assert shown["summary"] == "shop down"
    assert shown["custom_details"]["runs on"] == "Down"
    assert "bad" not in shown["custom_details"]
    assert shown["custom_details"]["why"]


CHATS = {
    "discord": ({"webhook_url": "{url}/api/webhooks/1/x"}, lambda b: (b["embeds"][0]["title"], b["embeds"][0]["description"])),
    "msteams": (
        {"webhook_url": "{url}/workflows/x"},
        lambda b: tuple(item["text"] for item in b["attachments"][0]["content"]["body"][:2]),
    ),
    "mattermost": ({"webhook_url": "{url}/hooks/x"}, lambda b: tuple(b["text"].split("\n\n")[:2])),
}


@pytest.mark.parametrize("name", sorted(CHATS))
async def test_a_chat_shows_the_operators_title_and_text_with_their_markup(name: str) -> None:
    settings, seen = CHATS[name]
    texts = {
        "title": "{{ .Status | toUpper }} {{ .CommonLabels.alertname }}",
        "text": "**{{ len .Alerts }} alerts** {{ .Receiver }}",
    }
    with FakeChats() as chats:
        own = {key: value.format(url=chats.url) for key, value in settings.items()}
        answer = await send(name, {**own, "texts": texts}, TWO)
        assert answer.outcome is DeliveryOutcome.ACCEPTED and not chats.broken, chats.broken
        title, text = seen(chats.seen[0].parsed)
        assert title == "FIRING Down" and text.startswith("**2 alerts** team")


async def test_telegram_takes_the_operators_markup_and_escapes_labels() -> None:
    nasty = page_of(alert("<b>a</b>"))
    settings = {"bot_token": "1:t", "chat_id": 42, "texts": {"text": "<b>{{ .CommonLabels.instance }}</b>"}}
    with FakeChats() as chats:
        chats.takes_markup = True
        assert (await send("telegram", {**settings, "api_url": chats.url}, nasty)).outcome is DeliveryOutcome.ACCEPTED
        assert chats.seen[0].parsed["text"] == "<b>&lt;b&gt;a&lt;/b&gt;</b>" and chats.seen[0].parsed["parse_mode"] == "HTML"
    with FakeChats() as chats:
        # Telegram refuses the markup: the plain page goes out.
        answer = await send("telegram", {**settings, "api_url": chats.url, "texts": {"text": "<b>"}}, nasty)
        assert answer.outcome is DeliveryOutcome.ACCEPTED
        assert len(chats.seen) == 2 and "parse_mode" not in chats.seen[1].parsed


def test_a_template_knows_what_time_it_was_when_the_message_was_decided() -> None:
    began_ms = alert("a")["starts_at_ms"]
    note = dataclasses.replace(TWO.notification, created_ms=began_ms + 3_725_000)
    told = dataclasses.replace(TWO, notification=note)
    channel = slack(text="{{ since (index .Alerts 0).StartsAt | humanizeDuration }} at {{ now.Format `15:04` }}")
    assert channel.worded("text", told) == "1h 2m 5s at 01:02"
