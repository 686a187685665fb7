"""Relabelling: rewrite, keep or drop label sets. Prometheus's `relabel_config`, every action."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tocsin.model.labels import compile_anchored


class Action(enum.StrEnum):
    REPLACE = "replace"
    KEEP = "keep"
    DROP = "drop"
    KEEP_EQUAL = "keepequal"
    DROP_EQUAL = "dropequal"
    HASH_MOD = "hashmod"
    LABEL_MAP = "labelmap"
    LABEL_DROP = "labeldrop"
    LABEL_KEEP = "labelkeep"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"


DEFAULT_REGEX = "(.*)"


@dataclass(frozen=True, slots=True)
class RelabelRule:
    """One step. The regular expression is RE2, fully anchored. Raises re2.error for a bad one."""

    action: Action = Action.REPLACE
    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    regex: str = DEFAULT_REGEX
    modulus: int = 0
    target_label: str = ""
    replacement: str = "$1"
    _pattern: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pattern", compile_anchored(self.regex))

    def match(self, text: str) -> Any:
        return self._pattern.match(text)


def relabel(labels: dict[str, str], rules: Sequence[RelabelRule]) -> dict[str, str] | None:
    """Apply `rules` in order to `labels` (changed in place); None = dropped. Empty values are removed."""
    for rule in rules:
        if not _apply(rule, labels):
            return None
    return labels


def _apply(rule: RelabelRule, labels: dict[str, str]) -> bool:
    """One rule; False = drop the label set."""
    value = rule.separator.join([labels.get(name, "") for name in rule.source_labels])
    match rule.action:
        case Action.REPLACE:
            _replace(rule, labels, value)
        case Action.KEEP:
            return rule.match(value) is not None
        case Action.DROP:
            return rule.match(value) is None
        case Action.KEEP_EQUAL:
            return labels.get(rule.target_label, "") == value
        case Action.DROP_EQUAL:
            return labels.get(rule.target_label, "") != value
        case Action.HASH_MOD:
            digest = hashlib.md5(value.encode(), usedforsecurity=False).digest()
            labels[rule.target_label] = str(int.from_bytes(digest[8:], "big") % rule.modulus)
        case Action.LABEL_MAP:
            for name, old in list(labels.items()):
                if found := rule.match(name):
                    _set(labels, expand(rule.replacement, found), old)
        case Action.LABEL_DROP:
            for name in [name for name in labels if rule.match(name)]:
                del labels[name]
        case Action.LABEL_KEEP:
            for name in [name for name in labels if not rule.match(name)]:
                del labels[name]
        case Action.LOWERCASE:
            _set(labels, rule.target_label, value.lower())
        case Action.UPPERCASE:
            _set(labels, rule.target_label, value.upper())
    return True


def _replace(rule: RelabelRule, labels: dict[str, str], value: str) -> None:
    found = rule.match(value)
    if found is None:
        return
    if target := expand(rule.target_label, found):
        _set(labels, target, expand(rule.replacement, found))


def _set(labels: dict[str, str], name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


@lru_cache(maxsize=4096)
def _pieces(template: str) -> tuple[str | tuple[str], ...]:
    """Texts and references (in a tuple) of a Go regexp template."""
    out: list[str | tuple[str]] = []
    at = 0
    for found in _REFERENCE.finditer(template):
        out.append(template[at : found.start()])
        name = found[1] or found[2]
        out.append((name,) if name else "$")
        at = found.end()
    out.append(template[at:])
    return tuple(piece for piece in out if piece)


def expand(template: str, found: Any) -> str:
    """Go's `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$`; what does not exist is empty."""
    if "$" not in template:
        return template
    return "".join([piece if isinstance(piece, str) else _group(found, piece[0]) for piece in _pieces(template)])


def _group(found: Any, name: str) -> str:
    if name.isdigit():
        number = int(name)
        return (found.group(number) or "") if number <= found.re.groups else ""
    return found.group(name) or "" if name in found.re.groupindex else ""
