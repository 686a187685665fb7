"""Secrets by reference, `{env: NAME}` or `{file: path}`, anywhere a text is expected; hiding them where a setting is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Path as TreePath
from tocsin.formats.yaml_tree import Tree, path_text

HIDDEN = "<secret>"

_SECRET_KEY = re.compile(
    r"(password|passwd|secret|token|api_?key|user_key|routing_key|service_key|integration_key|credentials|bearer|private_key|webhook_url|api_url|dsn)$",
    re.IGNORECASE,
)
_ADDRESSES = ("address", "url", "urls", "slack", "webhook", "telegram", "apprise", "discord", "mattermost", "msteams")
"""What of a contact or receiver may be a URL that is itself the key."""
_NAMES_TO_TEXTS = frozenset({
    "labels", "external_labels", "annotations", "match", "match_re", "source_match", "source_match_re", "target_match",
    "target_match_re", "headers", "http_headers", "details", "custom_details", "fields", "params", "endpoint_params",
    "attributes",
})  # fmt: skip
"""Mappings whose keys are an operator's own names: `labels: {env: prod}` is a label called env, not a variable."""
_MAY_BE_SHOWN = {"pagerduty_url", "opsgenie_api_url", "victorops_api_url", "telegram_api_url", "wechat_api_url", "external_url"}
_SENT = ("headers", "http_headers", "metadata", "proxy_connect_header")
"""Sections whose values go out as headers."""
_HARMLESS_HEADERS = {
    "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection", "content-language",
    "content-type", "date", "from", "host", "if-modified-since", "origin", "pragma", "range", "referer", "subject", "te",
    "upgrade-insecure-requests", "user-agent", "x-scope-orgid",
}  # fmt: skip
_URL_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)@")


def resolve_secrets(tree: Tree, base: Path, environment: Mapping[str, str] = os.environ) -> tuple[Any, list[Problem]]:
    """The tree's value with every reference replaced by what it names."""
    problems: list[Problem] = []

    def walk(value: Any, path: TreePath) -> Any:
        if isinstance(value, dict):
            own_names = bool(path) and path[-1] in _NAMES_TO_TEXTS
            if set(value) == {"env"} and not own_names and isinstance(value["env"], str):
                return from_environment(value["env"], path)
            if set(value) == {"file"} and not own_names and isinstance(value["file"], str):
                return from_file(value["file"], path)
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, i)) for i, item in enumerate(value)]
        return value

    def from_environment(name: str, path: TreePath) -> str:
        found = environment.get(name)
        if found is None:
            problems.append(Problem(tree.place(path), path_text(path), f"the environment variable {name} is not set"))
        return found or ""

    def from_file(name: str, path: TreePath) -> str:
        try:
            return (base / name).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(tree.place(path), path_text(path), f"cannot read the secret file {name}: {error}"))
            return ""

    return walk(tree.value, ()), problems


def hide_secrets(value: Any, *, key: str = "", inside_receiver: bool = False) -> Any:
    """A copy fit to be shown: values of secret-sounding keys, headers, URLs that are keys and passwords in URLs are masked."""
    if isinstance(value, dict):
        if set(value) in ({"env"}, {"file"}):
            return value
        if key in _SENT:
            return {name: _hide_header(name, item) for name, item in value.items()}
        if key == "expect":  # what is looked for in an answer; its `headers` are patterns
            return value
        if key == "dead_man" and value.get("url"):
            value = {**value, "url": HIDDEN}
        inner = inside_receiver or key in ("receivers", "users", "contact", "channels")
        return {k: hide_secrets(v, key=k, inside_receiver=inner) for k, v in value.items()}
    if isinstance(value, list):
        return [hide_secrets(item, key=key, inside_receiver=inside_receiver) for item in value]
    if not isinstance(value, str) or not value:
        return value
    if _SECRET_KEY.search(key) and key not in _MAY_BE_SHOWN:
        return HIDDEN
    if inside_receiver and key in ("pagerduty", "pushover"):
        return HIDDEN
    if inside_receiver and key in _ADDRESSES and "://" in value:
        return HIDDEN
    return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value)


def _hide_header(name: str, value: Any) -> Any:
    """A header's value is hidden unless the name says that it is harmless: anybody may call the one with a key as they like."""
    if isinstance(value, dict):
        return value if set(value) in ({"env"}, {"file"}) else {k: _hide_header(name, item) for k, item in value.items()}
    if isinstance(value, list):
        return [_hide_header(name, item) for item in value]
    return HIDDEN if isinstance(value, str) and value and name.lower() not in _HARMLESS_HEADERS else value
