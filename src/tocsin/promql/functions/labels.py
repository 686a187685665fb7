"""Functions that rewrite labels."""

from __future__ import annotations

import re

import numpy as np
import re2

from tocsin.errors import ExecutionError
from tocsin.model.labels import METRIC_NAME, Labels, compile_anchored
from tocsin.promql.frame import Frame, merged
from tocsin.promql.function import Call, function

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


@function("label_replace", keeps_name=True)
def label_replace(call: Call, vector: Frame, target: str, replacement: str, source: str, regex: str) -> Frame:
    """Sets label `target` to `replacement` (with $1, $name) where label `source` matches `regex` as a whole."""
    try:
        pattern = compile_anchored(regex)
    except re2.error:
        raise ExecutionError(f"invalid regular expression in label_replace(): {regex}") from None
    _require_name(target, "destination", "label_replace")

    def compute() -> tuple[Labels, ...]:
        renamed: dict[str, str | None] = {}
        rows = []
        for labels in vector.labels:
            value = labels.get(source)
            if value not in renamed:
                match = pattern.match(value)
                renamed[value] = None if match is None else expand(replacement, match)
            changed = renamed[value]
            rows.append(labels if changed is None else labels.merged({target: changed}))
        return tuple(rows)

    rows = call.labels.get(("label_replace", vector.labels, target, replacement, source, regex), len(vector.labels), compute)
    return merged(_relabelled(vector, rows, target), strict=True)


@function("label_join", keeps_name=True)
def label_join(call: Call, vector: Frame, target: str, separator: str, *sources: str) -> Frame:
    """Sets label `target` to the values of the source labels joined by `separator`."""
    for source in sources:
        _require_name(source, "source", "label_join")
    _require_name(target, "destination", "label_join")

    def compute() -> tuple[Labels, ...]:
        joined = (separator.join([labels.get(source) for source in sources]) for labels in vector.labels)
        return tuple([labels.merged({target: text}) for labels, text in zip(vector.labels, joined, strict=True)])

    rows = call.labels.get(("label_join", vector.labels, target, separator, sources), len(vector.labels), compute)
    return merged(_relabelled(vector, rows, target), strict=True)


def _relabelled(vector: Frame, rows: tuple[Labels, ...], target: str) -> Frame:
    """A name set on purpose is no longer marked for removal."""
    nameless = vector.nameless
    if nameless is not None and target == METRIC_NAME:
        same = np.fromiter((a is b for a, b in zip(rows, vector.labels, strict=True)), bool, len(rows))
        nameless = nameless & same
    return Frame(rows, vector.values, vector.present, nameless)


def expand(template: str, match: re.Match[str]) -> str:
    """Go's Regexp.Expand: $1, ${1}, $name, $$; what does not exist is empty; $1x is the group named `1x`."""

    def group(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        key: int | str = int(name) if name.isdigit() else name
        try:
            return match.group(key) or ""
        except (IndexError, KeyError, re2.error):
            return ""

    return _REFERENCE.sub(group, template)


def _require_name(name: str, role: str, where: str) -> None:
    if not name or any(0xD800 <= ord(char) < 0xE000 for char in name):
        raise ExecutionError(f"invalid {role} label name in {where}(): {name}")
