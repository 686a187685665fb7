"""The kinds of receivers that alertmanager.yml knows, as one table.

It says per `*_configs` which keys exist, which exclude each other, which one must be there, and what our channel calls them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of one `*_configs`."""

    keys: frozenset[str]
    """Every key that Alertmanager knows, `X_file` beside each X of `from_file` included."""
    from_file: tuple[str, ...] = ()
    needs: tuple[tuple[str, ...], ...] = ()
    """Of each group at least one key must be set (a `_file` counts)."""
    from_global: Mapping[str, str] | None = None
    """Our key <- key of `global` when the config does not say."""
    channel: str = ""
    """The channel that delivers it."""
    settings: Mapping[str, str] | None = None
    """Setting of our channel <- key."""
    message: frozenset[str] = frozenset()
    """Keys that shape the text; Tocsin writes its own messages."""
    send_resolved: bool = True
    compatible: bool = False
    """Its request is Alertmanager's own: every key is a setting of the channel, and texts may be templates."""


def _kind(keys: str, *, message: str = "", from_file: str = "", needs: tuple[str, ...] = (), **rest: Any) -> Kind:
    files = tuple(from_file.split())
    every = {"send_resolved", "http_config", *keys.split(), *message.split(), *files, *(f"{name}_file" for name in files)}
    groups = tuple(tuple(group.split()) for group in needs)
    return Kind(frozenset(every), files, groups, message=frozenset(message.split()), **rest)


def _compatible(keys: str, *, channel: str, from_file: str = "", renamed: Mapping[str, str] | None = None, **rest: Any) -> Kind:
    """A kind whose keys are the settings of its channel; `renamed`: key -> setting where they differ."""
    other = renamed or {}
    settings = {other.get(key, key): key for key in (*keys.split(), *from_file.split())}
    return _kind(keys, from_file=from_file, channel=channel, settings=settings, compatible=True, **rest)


KINDS: Mapping[str, Kind] = {
    "email_configs": _kind(
        "to from hello smarthost auth_username auth_identity require_tls tls_config force_implicit_tls threading",
        message="headers html text",
        from_file="auth_password auth_secret",
        needs=("to", "smarthost", "from"),
        from_global={
            "smarthost": "smtp_smarthost",
            "from": "smtp_from",
            "auth_username": "smtp_auth_username",
            "auth_password": "smtp_auth_password",
            "require_tls": "smtp_require_tls",
            "force_implicit_tls": "smtp_force_implicit_tls",
        },
        channel="email",
        settings={name: name for name in ("to", "from", "smarthost", "auth_username", "auth_password", "require_tls")},
        send_resolved=False,
    ),
    "slack_configs": _kind(
        "app_url channel username link_names mrkdwn_in update_message timeout",
        message="color title title_link pretext text message_text fields short_fields footer fallback callback_id icon_emoji "
        "icon_url image_url thumb_url actions",
        from_file="api_url app_token",
        needs=("api_url app_token",),
        from_global={"api_url": "slack_api_url", "app_token": "slack_app_token"},
        channel="slack",
        settings={"api_url": "api_url", "bot_token": "app_token", "channel": "channel"},
        send_resolved=False,
    ),
    "pagerduty_configs": _kind(
        "url client client_url timeout severity class component group source",
        message="description details images links",
        from_file="service_key routing_key",
        needs=("service_key routing_key",),
        from_global={"url": "pagerduty_url"},
        channel="pagerduty",
        settings={"routing_key": "routing_key", "url": "url"},
    ),
    "webhook_configs": _kind(
        "max_alerts timeout",
        message="payload",
        from_file="url",
        needs=("url",),
        channel="webhook",
        settings={"url": "url", "max_alerts": "max_alerts"},
    ),
    "telegram_configs": _kind(
        "api_url message_thread_id disable_notifications parse_mode",
        message="message",
        from_file="bot_token chat_id",
        needs=("chat_id", "bot_token"),
        from_global={"api_url": "telegram_api_url", "bot_token": "telegram_bot_token"},
        channel="telegram",
        settings={name: name for name in ("bot_token", "chat_id", "api_url", "message_thread_id", "parse_mode")},
    ),
    "msteamsv2_configs": _kind(
        "",
        message="title text",
        from_file="webhook_url",
        needs=("webhook_url",),
        channel="msteams",
        settings={"webhook_url": "webhook_url"},
    ),
    "discord_configs": _kind(
        "username avatar_url",
        message="content title message",
        from_file="webhook_url",
        needs=("webhook_url",),
        channel="discord",
        settings={"webhook_url": "webhook_url"},
    ),
    "pushover_configs": _kind(
        "device sound priority retry expire ttl html monospace",
        message="title message url url_title",
        from_file="user_key token",
        needs=("user_key", "token"),
        channel="pushover",
        settings={name: name for name in ("user_key", "token", "device", "sound")},
    ),
    "mattermost_configs": _kind(
        "channel username type props priority",
        message="text fallback color pretext author_name author_link author_icon title title_link fields thumb_url footer "
        "footer_icon image_url icon_url icon_emoji attachments",
        from_file="webhook_url",
        needs=("webhook_url",),
        from_global={"webhook_url": "mattermost_webhook_url"},
        channel="mattermost",
        settings={"webhook_url": "webhook_url", "channel": "channel"},
    ),
    "opsgenie_configs": _compatible(
        "api_url source details entity responders actions tags priority update_alerts message description note",
        from_file="api_key",
        needs=("api_key",),
        from_global={"api_url": "opsgenie_api_url", "api_key": "opsgenie_api_key"},
        channel="opsgenie",
    ),
    "victorops_configs": _compatible(
        "api_url routing_key message_type monitoring_tool custom_fields state_message entity_display_name",
        from_file="api_key",
        needs=("routing_key", "api_key"),
        from_global={"api_url": "victorops_api_url", "api_key": "victorops_api_key"},
        channel="victorops",
    ),
    "msteams_configs": _compatible(
        "title summary text",
        from_file="webhook_url",
        needs=("webhook_url",),
        channel="msteams_connector",
    ),
    "wechat_configs": _compatible(
        "corp_id api_url to_user to_party to_tag agent_id message_type message",
        from_file="api_secret",
        needs=("api_secret", "corp_id"),
        from_global={"api_url": "wechat_api_url", "api_secret": "wechat_api_secret", "corp_id": "wechat_api_corp_id"},
        send_resolved=False,
        channel="wechat",
    ),
    "sns_configs": _compatible(
        "api_url sigv4 topic_arn phone_number target_arn attributes use_aws_http_client subject message",
        needs=("topic_arn phone_number target_arn",),
        channel="sns",
    ),
    "webex_configs": _compatible(
        "api_url room_id message",
        needs=("room_id",),
        from_global={"api_url": "webex_api_url"},
        channel="webex",
    ),
    "jira_configs": _compatible(
        "api_url api_type project labels priority issue_type reopen_transition resolve_transition wont_fix_resolution "
        "reopen_duration fields summary description",
        renamed={"fields": "custom_fields"},
        needs=("project", "issue_type", "api_url"),
        from_global={"api_url": "jira_api_url"},
        channel="jira",
    ),
    "incidentio_configs": _compatible(
        "max_alerts timeout",
        from_file="url alert_source_token",
        needs=("url",),
        channel="incidentio",
    ),
    "rocketchat_configs": _compatible(
        "api_url channel emoji link_names color title title_link text fields short_fields icon_url image_url thumb_url actions",
        from_file="token token_id",
        renamed={"fields": "attachment_fields"},
        needs=("token", "token_id"),
        from_global={"api_url": "rocketchat_api_url", "token": "rocketchat_token", "token_id": "rocketchat_token_id"},
        send_resolved=False,
        channel="rocketchat",
    ),
}
