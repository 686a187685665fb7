"""Limits on labels and series: what is refused, and why."""

from __future__ import annotations

from tocsin.log import get_log
from tocsin.model.labels import Labels
from tocsin.tsdb.settings import StoreSettings

_log = get_log("tsdb")


def refusal(labels: Labels, settings: StoreSettings) -> str | None:
    """Why a new series is not taken; None when it is."""
    if not labels.pairs:
        return "a series needs at least one label"
    if len(labels.pairs) > settings.max_label_names:
        return f"{len(labels.pairs)} labels; the limit is {settings.max_label_names}"
    for name, value in labels.pairs:
        try:
            name_bytes, value_bytes = len(name.encode()), len(value.encode())
        except UnicodeEncodeError:
            return "a label is not valid Unicode"
        if name_bytes > settings.max_label_name_bytes:
            return f"a label name of {name_bytes} bytes; the limit is {settings.max_label_name_bytes}"
        if value_bytes > settings.max_label_value_bytes:
            return f"label {name} has {value_bytes} bytes; the limit is {settings.max_label_value_bytes}"
    return None


def say_full(limit: int) -> None:
    _log.error("the limit of series is reached; new series are refused, known ones go on", limit=limit)
