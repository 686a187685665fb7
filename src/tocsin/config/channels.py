"""How each channel sends: what is said once for everybody's contacts, and contacts that could not be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tocsin.config.schema import OwnSections, StatusWebhooks
from tocsin.errors import Place, Problem
from tocsin.formats.yaml_tree import Tree
from tocsin.incidents.people import Directory
from tocsin.model.route import Receiver
from tocsin.notify.settings import ChannelSettings

_PASSWORD_FILE = "smtp_auth_password_file"
_MAIL_KEYS = {
    "smtp_from": "from",
    "smtp_smarthost": "smarthost",
    "smtp_auth_username": "auth_username",
    "smtp_auth_password": "auth_password",
    "smtp_require_tls": "require_tls",
}


def read_channels(
    own: OwnSections,
    directory: Directory,
    receivers: Mapping[str, Receiver],
    tree: Tree,
    read_file: Callable[[str], str],
) -> tuple[ChannelSettings, list[Problem]]:
    """`read_file` gives the text of a `*_file` setting (raises OSError)."""
    problems: list[Problem] = []
    shared = tree.value.get("global")
    shared = shared if isinstance(shared, dict) else {}
    if shared.get(_PASSWORD_FILE):
        try:
            shared = {**shared, "smtp_auth_password": read_file(str(shared[_PASSWORD_FILE]))}
        except (OSError, UnicodeDecodeError) as error:
            path = ("global", _PASSWORD_FILE)
            problems.append(Problem(tree.place(path), ".".join(path), f"cannot be read: {error}"))
    channels = ChannelSettings(
        defaults=_defaults(shared, own.channels),
        persons=directory.persons,
        receivers=receivers,
        external_url=own.external_url,
        hook_pages={page.slug: leads_inside(page.webhooks) for page in own.status_pages if page.webhooks},
        host=urlsplit(own.external_url).hostname or "tocsin.invalid",
    )
    for ref, message in channels.problems():
        place, where = _place_of(ref, tree)
        problems.append(Problem(place, where, message))
    for name in channels.best_effort_only():
        place, where = _place_of(f"user:{name}/", tree)
        text = f"nothing tells whether a page reached {name}: add a contact besides the best-effort ones (apprise)"
        problems.append(Problem(place, where, text, warning=True))
    return channels, problems


def leads_inside(webhooks: bool | StatusWebhooks) -> bool:
    """Whether a page's webhooks may lead to private addresses."""
    return isinstance(webhooks, StatusWebhooks) and webhooks.allow_private


def _defaults(shared: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Alertmanager's mail settings (TLS unless said otherwise), and `channels:`, which wins."""
    mail = {ours: shared[key] for key, ours in _MAIL_KEYS.items() if shared.get(key) is not None}
    if shared.get("smtp_force_implicit_tls"):
        mail["security"] = "tls"
    found: dict[str, Mapping[str, Any]] = {"email": {"require_tls": True, **mail}} if mail else {}
    return {**found, **{channel: {**found.get(channel, {}), **settings} for channel, settings in own.items()}}


def _place_of(ref: str, tree: Tree) -> tuple[Place, str]:
    """Where a contact (`user:NAME/...`) or a destination (`receiver:NAME/...`) was written."""
    kind, _, rest = ref.partition(":")
    name = rest.split("/")[0]
    key = "users" if kind == "user" else "receivers"
    for i, raw in enumerate(tree.value.get(key) or []):
        if isinstance(raw, dict) and raw.get("name") == name:
            return tree.place((key, i)), f"{key}[{i}] ({rest})"
    return tree.place((key,)), ref
