"""Go templates in receivers: which of Alertmanager's keys shape our messages, read and judged when the file is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path as FilePath
from typing import Any

from tocsin.config.sources import expand
from tocsin.formats.gotemplate import TemplateError
from tocsin.notify.texts import compile_text

TEXTS: Mapping[str, Mapping[str, str]] = {
    "slack": {"title": "title", "text": "text"},
    "email": {"headers": "", "text": "text", "html": "html"},
    "pagerduty": {"description": "description", "details": "details."},
    "discord": {"title": "title", "message": "text"},
    "telegram": {"message": "text"},
    "msteams": {"title": "title", "text": "text"},
    "pushover": {"title": "title", "message": "text"},
    "mattermost": {"title": "title", "text": "text"},
}
"""By channel: key of the receiver -> part of our message. `headers` and `details` are maps."""

Doubt = tuple[tuple[str | int, ...], str, bool]
"""Path below the receiver's config, sentence, is only a warning."""


def texts_of(channel: str, config: Mapping[str, Any], library: Mapping[str, str]) -> tuple[dict[str, str], list[Doubt]]:
    """The receiver's own texts by part of the message, and what is wrong with them."""
    texts: dict[str, str] = {}
    doubts: list[Doubt] = []
    for path, part, text in _given(channel, config):
        if not part:
            doubts.append((path, "Tocsin writes this header itself; only Subject can be given", True))
            continue
        try:
            missing = compile_text(text, library).missing()
        except TemplateError as error:
            doubts.append((path, f"not a template that Tocsin can run: {error}", False))
            continue
        if missing:
            doubts.append((path, f"no template is named {missing!r}: the plain text is sent; see `templates`", True))
            continue
        texts[part] = text
    return texts, doubts


def doubts_of(config: Mapping[str, Any], library: Mapping[str, str]) -> list[Doubt]:
    """What is wrong with the templates anywhere in a receiver all of whose texts may be some."""
    doubts: list[Doubt] = []
    for path, text in _texts_in(config, ()):
        if "{{" not in text:
            continue
        try:
            missing = compile_text(text, library).missing()
        except TemplateError as error:
            doubts.append((path, f"not a template that Tocsin can run: {error}", False))
            continue
        if missing:
            doubts.append((path, f"no template is named {missing!r}: this text will be empty or ours; see `templates`", True))
    return doubts


def _texts_in(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts_in(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts_in(item, (*path, index))


def _given(channel: str, config: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str, str]]:
    """(path, part of the message, template) of every text; part is empty where there is none."""
    found: list[tuple[tuple[str | int, ...], str, str]] = []
    for key, part in TEXTS.get(channel, {}).items():
        value = config.get(key)
        if isinstance(value, Mapping):
            for name, text in value.items():
                own = f"{part}{name}" if part else "subject" if str(name).lower() == "subject" else ""
                found.append(((key, str(name)), own, str(text)))
        elif value not in (None, ""):
            found.append(((key,), part, str(value)))
    return found


def library_of(patterns: tuple[str, ...], base: FilePath, texts: Mapping[str, str]) -> tuple[dict[str, str], list[Doubt]]:
    """The files of `templates:` by path. One that cannot be read or run is an error at the pattern that names it.

    `texts` are the files that were read with the configuration (of the last good one they may be all that is left).
    """
    library: dict[str, str] = {}
    doubts: list[Doubt] = []
    for index, pattern in enumerate(patterns):
        kept = [FilePath(name) for name in texts if fnmatch(name, str(base / pattern))]
        for path in dict.fromkeys((*expand([pattern], base), *kept)):
            try:
                text = texts[str(path)] if str(path) in texts else path.read_text()
                compile_text("", {str(path): text})
            except (OSError, UnicodeDecodeError) as error:
                doubts.append((("templates", index), f"cannot read {path}: {error}; its templates are missing", True))
            except TemplateError as error:
                doubts.append((("templates", index), f"{path}: {error}", False))
            else:
                library[str(path)] = text
    return library, doubts
