"""Receivers of alertmanager.yml: every `*_configs` of Alertmanager 0.34 is read strictly, and becomes destinations.

What each kind may say stands in receiverkinds.py.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field, model_validator

from tocsin.config import receivertexts
from tocsin.config.fields import DurationMs, Section, Text
from tocsin.config.receiverkinds import KINDS, Kind
from tocsin.model.duration import parse_duration_ms
from tocsin.model.route import Destination

ReadFile = Callable[[str], str]
Path = tuple[str | int, ...]


class GlobalSection(Section):
    """`global`: what holds for every receiver that does not say otherwise."""

    resolve_timeout: DurationMs = 300_000
    http_config: dict[str, Any] | None = None
    jira_api_url: str = ""
    smtp_from: str = ""
    smtp_hello: str = "localhost"
    smtp_smarthost: str = ""
    smtp_auth_username: str = ""
    smtp_auth_password: Text = ""
    smtp_auth_password_file: str = ""
    smtp_auth_secret: Text = ""
    smtp_auth_secret_file: str = ""
    smtp_auth_identity: str = ""
    smtp_require_tls: bool = True
    smtp_tls_config: dict[str, Any] | None = None
    smtp_force_implicit_tls: bool | None = None
    slack_api_url: str = ""
    slack_api_url_file: str = ""
    slack_app_token: Text = ""
    slack_app_token_file: str = ""
    slack_app_url: str = "https://slack.com/api/chat.postMessage"
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    opsgenie_api_url: str = "https://api.opsgenie.com/"
    opsgenie_api_key: Text = ""
    opsgenie_api_key_file: str = ""
    wechat_api_url: str = "https://qyapi.weixin.qq.com/cgi-bin/"
    wechat_api_secret: Text = ""
    wechat_api_secret_file: str = ""
    wechat_api_corp_id: str = ""
    victorops_api_url: str = "https://alert.victorops.com/integrations/generic/20131114/alert/"
    victorops_api_key: Text = ""
    victorops_api_key_file: str = ""
    telegram_api_url: str = "https://api.telegram.org"
    telegram_bot_token: Text = ""
    telegram_bot_token_file: str = ""
    webex_api_url: str = "https://webexapis.com/v1/messages"
    rocketchat_api_url: str = "https://open.rocket.chat/"
    rocketchat_token: Text = ""
    rocketchat_token_file: str = ""
    rocketchat_token_id: Text = ""
    rocketchat_token_id_file: str = ""
    mattermost_webhook_url: str = ""
    mattermost_webhook_url_file: str = ""

    @model_validator(mode="after")
    def _one_of_each(self) -> GlobalSection:
        for name in type(self).model_fields:
            if name.endswith("_file") and getattr(self, name) and getattr(self, name.removesuffix("_file")):
                raise ValueError(f"at most one of {name.removesuffix('_file')} and {name} may be set")
        by_token = self.slack_app_token or self.slack_app_token_file
        by_url = self.slack_api_url or self.slack_api_url_file
        if by_token and by_url and self.slack_api_url != self.slack_app_url:
            raise ValueError("at most one of slack_app_token and slack_api_url may be set")
        return self


class ReceiverSection(Section):
    """A receiver. `policy` is Tocsin's: the escalation policy that pages people for it."""

    name: str = Field(min_length=1)
    labels: dict[str, Text] = Field(default_factory=dict)
    policy: str = ""
    discord_configs: tuple[dict[str, Any], ...] = ()
    email_configs: tuple[dict[str, Any], ...] = ()
    incidentio_configs: tuple[dict[str, Any], ...] = ()
    jira_configs: tuple[dict[str, Any], ...] = ()
    mattermost_configs: tuple[dict[str, Any], ...] = ()
    msteams_configs: tuple[dict[str, Any], ...] = ()
    msteamsv2_configs: tuple[dict[str, Any], ...] = ()
    opsgenie_configs: tuple[dict[str, Any], ...] = ()
    pagerduty_configs: tuple[dict[str, Any], ...] = ()
    pushover_configs: tuple[dict[str, Any], ...] = ()
    rocketchat_configs: tuple[dict[str, Any], ...] = ()
    slack_configs: tuple[dict[str, Any], ...] = ()
    sns_configs: tuple[dict[str, Any], ...] = ()
    telegram_configs: tuple[dict[str, Any], ...] = ()
    victorops_configs: tuple[dict[str, Any], ...] = ()
    webex_configs: tuple[dict[str, Any], ...] = ()
    webhook_configs: tuple[dict[str, Any], ...] = ()
    wechat_configs: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _name_label(self) -> ReceiverSection:
        if self.labels.get("name", self.name) != self.name:
            raise ValueError("the label 'name' of a receiver is its name")
        return self


def check_receiver(section: ReceiverSection, defaults: GlobalSection) -> list[tuple[Path, str]]:
    """What Alertmanager would refuse, as (path below the receiver, sentence)."""
    found: list[tuple[Path, str]] = []
    for name, kind in KINDS.items():
        for index, config in enumerate(getattr(section, name)):
            found += [((name, index, *path), text) for path, text in _check_config(kind, config, defaults)]
    return found


def _check_config(kind: Kind, config: Mapping[str, Any], defaults: GlobalSection) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = [
        ((key,), f"unknown key {key!r}; check the spelling or remove it") for key in config if key not in kind.keys
    ]
    for name in kind.from_file:
        if _is_set(config.get(name)) and _is_set(config.get(f"{name}_file")):
            found.append(((name,), f"at most one of {name} and {name}_file may be set"))
    for group in kind.needs:
        if not any(_known(kind, config, defaults, name) for name in group):
            found.append(((), f"{' or '.join(group)} is missing (here or in global)"))
    if "app_token" in kind.from_file:
        found += _check_slack(config, defaults)
    if config.get("html") and config.get("monospace"):
        found.append((("html",), "at most one of html and monospace may be set"))
    return found


def _check_slack(config: Mapping[str, Any], defaults: GlobalSection) -> list[tuple[Path, str]]:
    by_url = any(_is_set(config.get(key)) for key in ("api_url", "api_url_file"))
    by_token = any(_is_set(config.get(key)) for key in ("app_token", "app_token_file"))
    if by_url and by_token:
        return [((), "at most one of api_url and app_token may be set")]
    api_url = config.get("api_url") or ("" if by_token else defaults.slack_api_url)
    if config.get("update_message") and by_url and api_url != "https://slack.com/api/chat.postMessage":
        return [(("update_message",), "only an app token can update messages: set api_url to Slack's chat.postMessage")]
    return []


def _is_set(value: Any) -> bool:
    return value is not None and value != ""


def _known(kind: Kind, config: Mapping[str, Any], defaults: GlobalSection, name: str) -> bool:
    if _is_set(config.get(name)) or _is_set(config.get(f"{name}_file")):
        return True
    above = (kind.from_global or {}).get(name)
    return above is not None and bool(getattr(defaults, above) or getattr(defaults, f"{above}_file", ""))


# -- what becomes of them -------------------------------------------------------------------------------------------------


def destinations_of(
    section: ReceiverSection, defaults: GlobalSection, read_file: ReadFile, library: Mapping[str, str] | None = None
) -> tuple[tuple[Destination, ...], list[tuple[Path, str, bool]]]:
    """The receiver's destinations, and what cannot be delivered as (path, sentence, is only a warning).

    `library`: the readable files of `templates:` by name.
    """
    out: list[Destination] = []
    wrong: list[tuple[Path, str, bool]] = []
    for name, kind in KINDS.items():
        for index, config in enumerate(getattr(section, name)):
            path = (name, index)
            if not kind.channel:
                wrong.append((path, f"Tocsin does not deliver {name}; {kind.instead}", False))
                continue
            try:
                settings = _settings(kind, config, defaults, read_file)
            except ValueError as error:
                wrong.append((path, str(error), False))
                continue
            wrong += [((*path, key), text, True) for key, text in _unused(kind, config)]
            texts, doubts = receivertexts.texts_of(kind.channel, config, library or {})
            wrong += [((*path, *key), text, warning) for key, text, warning in doubts]
            if texts:
                settings |= {"texts": texts, "text_library": dict(library or {})}
            send_resolved = _flag(config.get("send_resolved"), kind.send_resolved)
            for one in _split_addresses(settings):
                out.append(Destination(kind.channel, one, send_resolved, index=len(out)))
    return tuple(out), wrong


def _settings(kind: Kind, config: Mapping[str, Any], defaults: GlobalSection, read_file: ReadFile) -> dict[str, Any]:
    """Settings of our channel. Raises ValueError: an unreadable secret file, something we cannot do."""
    settings: dict[str, Any] = {}
    for ours, key in (kind.settings or {}).items():
        value = _value(kind, config, defaults, key, read_file)
        if _is_set(value):
            settings[ours] = value
    if kind.channel == "email" and _value(kind, config, defaults, "force_implicit_tls", read_file):
        settings["security"] = "tls"
    if kind.channel == "pagerduty" and "routing_key" not in settings:
        # The key of an Events v1 integration works with Events v2 as well.
        settings["routing_key"] = _value(kind, config, defaults, "service_key", read_file)
    if kind.channel == "slack" and "bot_token" in settings and not config.get("api_url") and not config.get("api_url_file"):
        settings.pop("api_url", None)
    if kind.channel == "webhook":
        settings |= _webhook_extras(config, read_file)
    return settings


def _value(kind: Kind, config: Mapping[str, Any], defaults: GlobalSection, key: str, read_file: ReadFile) -> Any:
    if _is_set(config.get(key)):
        return config[key]
    if _is_set(config.get(f"{key}_file")):
        return _read(read_file, str(config[f"{key}_file"]))
    above = (kind.from_global or {}).get(key)
    if above is None:
        return None
    file = getattr(defaults, f"{above}_file", "")
    return _read(read_file, file) if file else getattr(defaults, above)


def _read(read_file: ReadFile, name: str) -> str:
    try:
        return read_file(name).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {name}: {error}") from None


def _webhook_extras(config: Mapping[str, Any], read_file: ReadFile) -> dict[str, Any]:
    http = config.get("http_config") or {}
    extras: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if basic := http.get("basic_auth"):
        password = basic.get("password") or (_read(read_file, basic["password_file"]) if basic.get("password_file") else "")
        token = base64.b64encode(f"{basic.get('username', '')}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    if authorization := http.get("authorization"):
        credentials = authorization.get("credentials") or _read(read_file, str(authorization.get("credentials_file", "")))
        headers["Authorization"] = f"{authorization.get('type', 'Bearer')} {credentials}"
    if bearer := http.get("bearer_token"):
        headers["Authorization"] = f"Bearer {bearer}"
    if headers:
        extras["headers"] = headers
    if timeout := config.get("timeout"):
        extras["timeout_s"] = min(max(parse_duration_ms(str(timeout)) / 1000, 0.1), 60.0)
    return extras


_HTTP_DONE = {"basic_auth", "authorization", "bearer_token", "follow_redirects", "enable_http2"}


def _unused(kind: Kind, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    written = receivertexts.TEXTS.get(kind.channel, {})
    not_used = [key for key in config if key in kind.message and key not in written]
    found = [(key, "Tocsin writes its own message; this text is not used") for key in not_used]
    http = config.get("http_config") or {}
    known = _HTTP_DONE if kind.channel == "webhook" else {"follow_redirects", "enable_http2"}
    if isinstance(http, Mapping) and (extra := sorted(set(http) - known)):
        found.append(("http_config", f"not used: {', '.join(extra)}"))
    return found


def _flag(value: Any, default: bool) -> bool:
    return default if value is None else value is True or str(value).lower() in ("yes", "on", "true")


_COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""One that stands outside quotation marks: `"Doe, Jane" <jane@example.com>` is one address."""


def _split_addresses(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """One destination per mail address: each recipient has a delivery and an outcome of its own."""
    addresses = [address.strip() for address in _COMMA.split(str(settings.get("to", ""))) if address.strip()]
    return [{**settings, "to": address} for address in addresses] if len(addresses) > 1 else [settings]
