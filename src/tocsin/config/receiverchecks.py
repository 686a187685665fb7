"""What Alertmanager refuses of one kind of receiver only, as (path below its config, sentence)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Path = tuple[str | int, ...]
Wrong = list[tuple[Path, str]]


class Defaults(Protocol):
    """What of `global` is asked for here."""

    @property
    def slack_api_url(self) -> str: ...


def is_set(value: Any) -> bool:
    return value is not None and value != ""


def _slack(config: Mapping[str, Any], defaults: Defaults) -> Wrong:
    by_url = any(is_set(config.get(key)) for key in ("api_url", "api_url_file"))
    by_token = any(is_set(config.get(key)) for key in ("app_token", "app_token_file"))
    if by_url and by_token:
        return [((), "at most one of api_url and app_token may be set")]
    api_url = config.get("api_url") or ("" if by_token else defaults.slack_api_url)
    if config.get("update_message") and by_url and api_url != "https://slack.com/api/chat.postMessage":
        return [(("update_message",), "only an app token can update messages: set api_url to Slack's chat.postMessage")]
    return []


def _pushover(config: Mapping[str, Any], _defaults: Defaults) -> Wrong:
    both = config.get("html") and config.get("monospace")
    return [(("html",), "at most one of html and monospace may be set")] if both else []


def _webex(config: Mapping[str, Any], _defaults: Defaults) -> Wrong:
    http = config.get("http_config")
    if isinstance(http, Mapping) and http.get("authorization"):
        return []
    return [((), "http_config.authorization is missing: it holds the bot's token")]


def _opsgenie(config: Mapping[str, Any], _defaults: Defaults) -> Wrong:
    found: Wrong = []
    for index, responder in enumerate(config.get("responders") or ()):
        path: Path = ("responders", index)
        if not isinstance(responder, Mapping):
            found.append((path, "expected a mapping"))
            continue
        if not any(is_set(responder.get(key)) for key in ("id", "name", "username")):
            found.append((path, "at least one of id, username and name must be set"))
        kind = str(responder.get("type", "") or "")
        if "{{" not in kind and kind.lower() not in ("team", "teams", "user", "escalation", "schedule"):
            found.append(((*path, "type"), "expected team, teams, user, escalation or schedule"))
    return found


_VICTOROPS_OWN = (
    "routing_key", "message_type", "state_message", "entity_display_name", "monitoring_tool", "entity_id", "entity_state",
)  # fmt: skip


def _victorops(config: Mapping[str, Any], _defaults: Defaults) -> Wrong:
    taken = [name for name in config.get("custom_fields") or {} if name in _VICTOROPS_OWN]
    return [(("custom_fields", name), f"{name} is a field of its own and cannot be a custom field") for name in taken]


def _wechat(config: Mapping[str, Any], _defaults: Defaults) -> Wrong:
    good = config.get("message_type") in (None, "", "text", "markdown")
    return [] if good else [(("message_type",), "expected text or markdown")]


def _jira(config: Mapping[str, Any], _defaults: Defaults) -> Wrong:
    good = config.get("api_type", "auto") in ("auto", "cloud", "datacenter")
    return [] if good else [(("api_type",), "expected auto, cloud or datacenter")]


def _sns(config: Mapping[str, Any], _defaults: Defaults) -> Wrong:
    ways = sum(is_set(config.get(key)) for key in ("topic_arn", "phone_number", "target_arn"))
    return [((), "only one of topic_arn, phone_number and target_arn may be set")] if ways == 2 else []


def _incidentio(config: Mapping[str, Any], _defaults: Defaults) -> Wrong:
    by_token = any(is_set(config.get(key)) for key in ("alert_source_token", "alert_source_token_file"))
    http = config.get("http_config")
    by_header = isinstance(http, Mapping) and bool(http.get("authorization"))
    if by_token and by_header:
        return [((), "alert_source_token and http_config.authorization cannot both be set")]
    if http is not None and not by_token and not by_header:
        return [((), "alert_source_token, alert_source_token_file or http_config.authorization must be set")]
    return []


CHECKS: Mapping[str, Callable[[Mapping[str, Any], Defaults], Wrong]] = {
    "slack_configs": _slack,
    "pushover_configs": _pushover,
    "webex_configs": _webex,
    "opsgenie_configs": _opsgenie,
    "victorops_configs": _victorops,
    "wechat_configs": _wechat,
    "jira_configs": _jira,
    "sns_configs": _sns,
    "incidentio_configs": _incidentio,
}
