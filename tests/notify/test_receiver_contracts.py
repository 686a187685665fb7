"""The receivers of alertmanager.yml that are sent Alertmanager's own requests, against fakes that check their limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.fakes.receivers import FakeReceivers
from tests.notify.test_real_ports_and_providers import NASTY, message

from tocsin.model.httpclient import Authorization, BasicAuth, HttpClient
from tocsin.model.notification import Delivery, DeliveryOutcome, Message, NotificationKind
from tocsin.notify.channel import Io, build
from tocsin.notify.client import ConfiguredHttp
from tocsin.notify.http import RealHttp
from tocsin.notify.sigv4 import Credentials, signed_headers
from tocsin.notify.smtp import RealSmtp

NOW_MS = 1_767_225_600_000
ACCEPTED, RETRY, PERMANENT, UNKNOWN = (
    DeliveryOutcome.ACCEPTED,
    DeliveryOutcome.RETRY,
    DeliveryOutcome.PERMANENT,
    DeliveryOutcome.UNKNOWN,
)
AWS = {"region": "eu-west-1", "access_key": "OWN", "secret_key": "s"}
KINDS = ("opsgenie", "victorops", "webex", "msteams_connector", "rocketchat", "sns", "wechat", "jira", "incidentio")


@pytest.fixture
def fake() -> Iterator[FakeReceivers]:
    with FakeReceivers() as server:
        yield server


def settings_of(name: str, url: str) -> dict[str, Any]:
    return {
        "opsgenie": {"api_key": "k", "api_url": f"{url}/opsgenie/"},
        "victorops": {"api_key": "key", "routing_key": "team", "api_url": f"{url}/victorops/"},
        "webex": {
            "room_id": "room",
            "api_url": f"{url}/webex/v1/messages",
            "http_config": HttpClient(authorization=Authorization(credentials="bot")),
        },
        "msteams_connector": {"webhook_url": f"{url}/teams/x"},
        "rocketchat": {"token": "tok", "token_id": "uid", "api_url": f"{url}/rocketchat", "channel": "#ops"},
        "sns": {"topic_arn": "arn:aws:sns:eu-west-1:1:t", "api_url": f"{url}/sns/", "sigv4": AWS},
        "wechat": {"api_secret": "sec", "corp_id": "corp", "api_url": f"{url}/wechat/", "to_user": "@all", "agent_id": 7},
        "jira": {
            "api_url": f"{url}/jira/rest/api/2",
            "project": "P",
            "issue_type": "Bug",
            "http_config": HttpClient(basic_auth=BasicAuth(username="u", password="p")),
        },
        "incidentio": {"url": f"{url}/incidentio/x", "alert_source_token": "src"},
    }[name]


async def send(name: str, settings: Mapping[str, Any], *given: Message) -> list[Delivery]:
    """Every message through one channel object, as the deliverer keeps it."""
    async with RealHttp() as http:
        channel = build(name, settings)
        used = ConfiguredHttp(http, channel.http_config, now_ms=lambda: NOW_MS) if channel.http_config else http
        return [await channel.send(one, Io(http=used, smtp=RealSmtp(), now_ms=NOW_MS, host="t.example")) for one in given]


def told(kind: str, **more: Any) -> Message:
    state = {"acknowledged": "acknowledged", "resolved": "resolved", "test": "test"}.get(kind, "triggered")
    group = {"receiver": "r", "group_key": '{}:{alertname="Down"}', "group_labels": {"alertname": "Down"}}
    return dataclasses.replace(message(NotificationKind(kind), **more), state=state, group=group)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("alerts", [1, 400])
async def test_a_provider_takes_what_we_post_whatever_the_labels_hold(fake: FakeReceivers, name: str, alerts: int) -> None:
    given = [told(kind, title=NASTY * 3, alerts=alerts, lines=(NASTY * 40,)) for kind in ("page", "acknowledged", "resolved")]
    for answer in await send(name, settings_of(name, fake.url), *given):
        assert answer.outcome is ACCEPTED, (answer, fake.broken)
    assert not fake.broken


@pytest.mark.parametrize("name", KINDS)
async def test_a_test_message_arrives_and_leaves_nothing_open(fake: FakeReceivers, name: str) -> None:
    (answer,) = await send(name, settings_of(name, fake.url), told("test", alerts=0))
    assert answer.outcome is ACCEPTED and not fake.broken, (answer, fake.broken)
    assert set(fake.open.values()) <= {"closed", "RECOVERY"} and not fake.issues


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("act", "outcomes"),
    [("429", {RETRY}), ("503", {RETRY}), ("drop", {UNKNOWN, RETRY}), ("garbage", {RETRY}), ("redirect", {RETRY})],
)
async def test_a_bad_day_of_a_provider_is_not_the_end(
    fake: FakeReceivers, name: str, act: str, outcomes: set[DeliveryOutcome]
) -> None:
    fake.script(act, retry_after=9)
    (answer,) = await send(name, settings_of(name, fake.url), told("page"))
    if act == "garbage" and name == "msteams_connector":
        outcomes = {ACCEPTED}  # a connector's answer has no form: any 2xx counts, as for Alertmanager
    # The HTTP client asks for WeChat's token once more by itself.
    assert answer.outcome in outcomes or (name, act) == ("wechat", "drop"), answer
    assert act != "429" or answer.retry_after_ms == 9000
    assert "/x" not in answer.reason and "sec" not in answer.reason.split()


async def test_opsgenie_has_one_alert_for_one_group_through_its_whole_life(fake: FakeReceivers) -> None:
    settings = {
        **settings_of("opsgenie", fake.url),
        "responders": [{"name": "a, b", "type": "teams"}, {"username": "{{ .CommonLabels.owner }}", "type": "user"}],
        "tags": "x,,{{ .Status }}",
        "details": {"status": "{{ .Status }}"},
        "priority": "P2",
        "update_alerts": True,
    }
    kinds = ("page", "update", "acknowledged", "resolved")
    for answer in await send("opsgenie", settings, *(told(kind) for kind in kinds)):
        assert answer.outcome is ACCEPTED, answer
    assert list(fake.open.values()) == ["closed"], "one alias through the whole life"
    first = fake.seen[0].parsed
    assert first["responders"] == [{"name": "a", "type": "team"}, {"name": " b", "type": "team"}, {"type": "user"}]
    assert first["tags"] == ["x", "firing"] and first["details"]["status"] == "firing"
    assert [seen.method for seen in fake.seen] == ["POST", "PUT", "PUT", "POST", "PUT", "PUT", "POST", "POST", "POST"]


async def test_a_wrong_key_is_a_permanent_failure(fake: FakeReceivers) -> None:
    (answer,) = await send("opsgenie", {**settings_of("opsgenie", fake.url), "api_key": "wrong"}, told("page"))
    assert answer.outcome is PERMANENT and "Key format is not valid" in answer.reason
    (answer,) = await send("rocketchat", {**settings_of("rocketchat", fake.url), "channel": "#away"}, told("page"))
    assert answer.outcome is PERMANENT and "error-invalid-channel" in answer.reason
    (answer,) = await send("wechat", {**settings_of("wechat", fake.url), "api_secret": "wrong"}, told("page"))
    assert answer.outcome is PERMANENT and "40001" in answer.reason


async def test_a_token_of_wechat_is_kept_and_renewed_when_it_is_refused(fake: FakeReceivers) -> None:
    async with RealHttp() as http:
        channel = build("wechat", settings_of("wechat", fake.url))
        io = Io(http=http, smtp=RealSmtp(), now_ms=NOW_MS, host="t.example")
        assert (await channel.send(told("page"), io)).outcome is ACCEPTED
        assert (await channel.send(told("update"), io)).outcome is ACCEPTED
        assert fake.tokens == 1
        fake.token_expired = True
        assert (await channel.send(told("update"), io)).outcome is ACCEPTED
        assert fake.tokens == 2


async def test_jira_has_one_issue_that_is_closed_and_opened_again(fake: FakeReceivers) -> None:
    settings = {
        **settings_of("jira", fake.url),
        "resolve_transition": "Done",
        "reopen_transition": "Again",
        "reopen_duration_ms": 3_600_000,
        "labels": ["on call", "{{ .Status }}"],
        "custom_fields": {"customfield_1": {"value": "{{ .Receiver }}"}},
        "update_summary": False,
    }
    for kind in ("page", "acknowledged", "resolved", "page", "update"):
        (answer,) = await send("jira", settings, told(kind))
        assert answer.outcome is ACCEPTED, (kind, answer)
    (issue,) = fake.issues.values()
    assert fake.transitions == ["11", "12"], "resolved, then opened again"
    assert issue["fields"]["customfield_1"] == {"value": "r"}
    assert {"firing", "on_call"} < set(issue["fields"]["labels"])
    assert fake.comments == ["since 14:03"]
    (answer,) = await send("jira", {**settings, "resolve_transition": "Gone"}, told("resolved"))
    assert answer.outcome is PERMANENT and "no transition 'Gone'" in answer.reason


async def test_jiras_third_version_gets_a_document(fake: FakeReceivers) -> None:
    settings = {**settings_of("jira", fake.url), "api_url": f"{fake.url}/jira/rest/api/3", "api_type": "cloud"}
    (answer,) = await send("jira", settings, told("page"))
    assert answer.outcome is ACCEPTED, (answer, fake.broken)
    (issue,) = fake.issues.values()
    assert issue["fields"]["description"]["type"] == "doc"
    assert fake.seen[0].path.endswith("/rest/api/3/search/jql")


async def test_sns_within_its_limits_and_in_a_role(fake: FakeReceivers) -> None:
    settings = settings_of("sns", fake.url)
    settings = {
        **settings,
        "topic_arn": settings["topic_arn"] + ".fifo",
        "subject": "é" * 200,
        "attributes": {"status": "{{ .Status }}"},
        "sigv4": {**AWS, "role_arn": "arn:aws:iam::1:role/x", "external_id": "e", "sts_url": f"{fake.url}/sns/sts"},
    }
    answers = await send("sns", settings, told("page"), told("resolved"))
    assert [answer.outcome for answer in answers] == [ACCEPTED, ACCEPTED], fake.broken
    role, first, second = [seen.parsed for seen in fake.seen]
    assert (role["Action"], role["ExternalId"]) == ("AssumeRole", "e"), "the role is taken once"
    assert "Credential=ROLE/" in fake.seen[1].headers["authorization"]
    assert first["MessageGroupId"] == second["MessageGroupId"] != first["MessageDeduplicationId"]
    assert first["MessageAttributes.entry.1.Value.StringValue"] == "firing" and len(first["Subject"]) < 100
    (answer,) = await send("sns", {**settings_of("sns", fake.url), "topic_arn": "arn:busy"}, told("page"))
    assert answer.outcome is RETRY and "Throttling" in answer.reason
    sms = {**settings_of("sns", fake.url), "topic_arn": "", "phone_number": "+33612345678", "message": "ö" * 3000}
    (answer,) = await send("sns", sms, told("page"))
    assert answer.outcome is ACCEPTED and fake.seen[-1].parsed["MessageAttributes.entry.1.Name"] == "truncated"


def test_a_signature_is_the_one_of_awss_own_test_suite() -> None:
    """Its case `post-x-www-form-urlencoded`."""
    headers = signed_headers(
        "https://example.amazonaws.com/",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"Param1=value1",
        who=Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        region="us-east-1",
        service="service",
        now_ms=1_440_938_160_000,
    )
    assert headers["Authorization"].endswith(
        "SignedHeaders=content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
    )


async def test_a_template_that_fails_does_not_keep_the_page_back(fake: FakeReceivers) -> None:
    settings = {**settings_of("opsgenie", fake.url), "message": "{{ .Nothing }}", "tags": "{{ .Nothing }}"}
    (answer,) = await send("opsgenie", settings, told("page"))
    assert answer.outcome is ACCEPTED
    assert fake.seen[0].parsed["message"] == "CRITICAL - web is down" and "tags" not in fake.seen[0].parsed
