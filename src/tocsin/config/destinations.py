"""What becomes of the receivers of alertmanager.yml: destinations, each with the settings of its channel."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from tocsin.config import receivertexts
from tocsin.config.aws import sigv4_settings
from tocsin.config.httpclient import read_http_client
from tocsin.config.receiverchecks import is_set
from tocsin.config.receiverkinds import KINDS, Kind
from tocsin.config.receivers import GlobalSection, Path, ReadFile, ReceiverSection
from tocsin.model.duration import parse_duration_ms
from tocsin.model.route import Destination
from tocsin.notify.channel import build

Wrong = list[tuple[Path, str, bool]]
"""Path, sentence, is only a warning."""


def destinations_of(
    section: ReceiverSection,
    defaults: GlobalSection,
    read_file: ReadFile,
    library: Mapping[str, str] | None = None,
    *,
    base: FilePath | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[tuple[Destination, ...], Wrong]:
    """The receiver's destinations, and what cannot be delivered.

    `library`: the readable files of `templates:` by name. `base`: the folder that files of `http_config` are relative to.
    """
    out: list[Destination] = []
    wrong: Wrong = []
    for name, kind in KINDS.items():
        for index, config in enumerate(getattr(section, name)):
            path = (name, index)
            try:
                settings = _settings(kind, config, defaults, read_file, environment)
                settings |= _http(config, defaults, base or FilePath(), kind)
            except ValueError as error:
                wrong.append((path, str(error), False))
                continue
            wrong += [((*path, key), text, True) for key, text in _unused(kind, config)]
            texts, doubts = _texts(kind, config, library or {})
            wrong += [((*path, *key), text, warning) for key, text, warning in doubts]
            if any(not warning for _, _, warning in doubts):
                continue
            settings |= texts
            if kind.compatible and (problem := _refused(kind, settings)):
                wrong.append((path, problem, False))
                continue
            send_resolved = _flag(config.get("send_resolved"), kind.send_resolved)
            for one in _split_addresses(settings):
                out.append(Destination(kind.channel, one, send_resolved, index=len(out)))
    return tuple(out), wrong


def _settings(
    kind: Kind, config: Mapping[str, Any], defaults: GlobalSection, read_file: ReadFile, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Settings of our channel. Raises ValueError: an unreadable secret file, something we cannot do."""
    settings: dict[str, Any] = {}
    for ours, key in (kind.settings or {}).items():
        value = _value(kind, config, defaults, key, read_file)
        if is_set(value):
            settings[ours] = value
    match kind.channel:
        case "email":
            if _value(kind, config, defaults, "force_implicit_tls", read_file):
                settings["security"] = "tls"
        case "pagerduty":
            if "routing_key" not in settings:
                # The key of an Events v1 integration works with Events v2 as well.
                settings["routing_key"] = _value(kind, config, defaults, "service_key", read_file)
        case "slack":
            if "bot_token" in settings and not config.get("api_url") and not config.get("api_url_file"):
                settings.pop("api_url", None)
        case "webhook" | "incidentio":
            settings.pop("timeout", None)
            if timeout := config.get("timeout"):
                settings["timeout_s"] = min(max(parse_duration_ms(str(timeout)) / 1000, 0.1), 60.0)
        case "sns":
            settings.pop("use_aws_http_client", None)
            settings["sigv4"] = sigv4_settings(settings.get("sigv4") or {}, environment)
        case "jira":
            _jira(settings)
    return settings


def _jira(settings: dict[str, Any]) -> None:
    """`summary` and `description` may be {template, enable_update}; durations become milliseconds."""
    for part in ("summary", "description"):
        given = settings.get(part)
        if isinstance(given, Mapping):
            if extra := sorted(set(given) - {"template", "enable_update"}):
                raise ValueError(f"{part}: unknown key {extra[0]!r}; check the spelling or remove it")
            settings[f"update_{part}"] = _flag(given.get("enable_update"), default=True)
            if is_set(given.get("template")):
                settings[part] = given["template"]
            else:
                settings.pop(part)
    if is_set(lasts := settings.pop("reopen_duration", None)):
        settings["reopen_duration_ms"] = parse_duration_ms(str(lasts))


def _value(kind: Kind, config: Mapping[str, Any], defaults: GlobalSection, key: str, read_file: ReadFile) -> Any:
    if is_set(config.get(key)):
        return config[key]
    if is_set(config.get(f"{key}_file")):
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


def _http(config: Mapping[str, Any], defaults: GlobalSection, base: FilePath, kind: Kind) -> dict[str, Any]:
    """The receiver's `http_config`, else that of `global`; mail has none. Raises ValueError."""
    raw = config.get("http_config")
    raw = defaults.http_config if raw is None else raw
    if not raw or kind.channel == "email":
        return {}
    client, wrong = read_http_client(raw, base)
    if wrong:
        path, sentence = wrong[0]
        raise ValueError(": ".join([".".join(["http_config", *map(str, path)]), sentence]))
    return {"http_config": client}


def _texts(kind: Kind, config: Mapping[str, Any], library: Mapping[str, str]) -> tuple[dict[str, Any], list[receivertexts.Doubt]]:
    """Settings that carry the receiver's templates, and what is wrong with those."""
    if kind.compatible:
        doubts = receivertexts.doubts_of({key: value for key, value in config.items() if key != "http_config"}, library)
        return ({"text_library": dict(library)} if library and kind.channel != "incidentio" else {}), doubts
    texts, doubts = receivertexts.texts_of(kind.channel, config, library)
    return ({"texts": texts, "text_library": dict(library)} if texts else {}), doubts


def _refused(kind: Kind, settings: Mapping[str, Any]) -> str:
    """Why the channel does not take these settings; empty = it does."""
    try:
        build(kind.channel, settings)
    except ValueError as error:
        return str(error)
    return ""


def _unused(kind: Kind, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    written = receivertexts.TEXTS.get(kind.channel, {})
    texts = [key for key in config if key in kind.message and key not in written]
    taken = {*(kind.settings or {}).values(), *kind.from_file, *_ALWAYS_TAKEN}
    others = [key for key in config if key in kind.keys and key not in kind.message and key.removesuffix("_file") not in taken]
    return [
        *((key, "Tocsin writes its own message; this text is not used") for key in texts),
        *((key, "has no effect: Tocsin does not use this setting") for key in others if is_set(config[key])),
    ]


_ALWAYS_TAKEN = ("send_resolved", "http_config", "force_implicit_tls", "update_message", "threading", "app_url")
"""Settings that are looked at elsewhere, or hold here without being said."""


def _flag(value: Any, default: bool) -> bool:
    return default if value is None else value is True or str(value).lower() in ("yes", "on", "true")


_COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""One that stands outside quotation marks: `"Doe, Jane" <jane@example.com>` is one address."""


def _split_addresses(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """One destination per mail address: each recipient has a delivery and an outcome of its own."""
    addresses = [address.strip() for address in _COMMA.split(str(settings.get("to", ""))) if address.strip()]
    return [{**settings, "to": address} for address in addresses] if len(addresses) > 1 else [settings]
