"""Receivers of alertmanager.yml: every `*_configs` of Alertmanager 0.34 is read strictly.

What each kind may say stands in receiverkinds.py; what becomes of it in destinations.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import Field, model_validator

from tocsin.config.fields import DurationMs, Section, Text
from tocsin.config.httpclient import read_http_client
from tocsin.config.receiverchecks import CHECKS, is_set
from tocsin.config.receiverkinds import KINDS, Kind

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
            wrong = _check_config(kind, config, defaults)
            if check := CHECKS.get(name):
                wrong += check(config, defaults)
            found += [((name, index, *path), text) for path, text in wrong]
    return found


def check_http(config: Any) -> list[tuple[Path, str]]:
    """What is wrong with an `http_config`; whether its files can be read is not looked at here."""
    if not isinstance(config, Mapping):
        return [(("http_config",), "expected a mapping")]
    client, wrong = read_http_client(config, FilePath())
    return [] if client is not None else [(("http_config", *path), text) for path, text in wrong]


def _check_config(kind: Kind, config: Mapping[str, Any], defaults: GlobalSection) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = [
        ((key,), f"unknown key {key!r}; check the spelling or remove it") for key in config if key not in kind.keys
    ]
    for name in kind.from_file:
        if is_set(config.get(name)) and is_set(config.get(f"{name}_file")):
            found.append(((name,), f"at most one of {name} and {name}_file may be set"))
    for group in kind.needs:
        if not any(_known(kind, config, defaults, name) for name in group):
            found.append(((), f"{' or '.join(group)} is missing (here or in global)"))
    return found + (check_http(config["http_config"]) if config.get("http_config") is not None else [])


def _known(kind: Kind, config: Mapping[str, Any], defaults: GlobalSection, name: str) -> bool:
    if is_set(config.get(name)) or is_set(config.get(f"{name}_file")):
        return True
    above = (kind.from_global or {}).get(name)
    return above is not None and bool(getattr(defaults, above) or getattr(defaults, f"{above}_file", ""))
