"""All check types, and from what an operator wrote to a `CheckSpec`.

{name, <type>: short form | settings, every, labels, alert, ... and the type's own fields} ──parse_check──▶ CheckSpec
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from tocsin.collect import checks
from tocsin.collect.check import Check, registered
from tocsin.collect.fields import DurationMs
from tocsin.model.check import CheckAlert, CheckSpec
from tocsin.model.labels import Labels

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED_LABELS = {"check", "type", "location", "instance", "state", "__name__"}
_SHORTEST_MS = 1000
_MOST_LABELS = 50
"""The store takes 64 on a series, and checks have some of their own."""


def _text_map(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): str(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else v for k, v in value.items()}
    return value


TextMap = Annotated[dict[str, str], BeforeValidator(_text_map)]


class AlertEntry(BaseModel):
    """A check's `alert:` block."""

    model_config = ConfigDict(defer_build=True, extra="forbid")

    severity: str = "critical"
    failures: int | None = Field(None, ge=1, le=100, description="failures in a row before DOWN; same as the check's `failures`")
    for_: DurationMs = Field(0, alias="for")
    annotations: TextMap = {}
    enabled: bool = True


def _alert(value: Any) -> Any:
    """`alert: false` = no alert rule for this check."""
    return {"enabled": value} if isinstance(value, bool) else value


class CheckEntry(BaseModel):
    """What every check may say beside its type's own fields."""

    model_config = ConfigDict(defer_build=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    id: str = Field("", pattern=r"^[a-z0-9][a-z0-9_.-]{0,127}$|^$")
    every: DurationMs = Field(60_000, description="a minute unless the type says otherwise")
    timeout: DurationMs | None = None
    failures: int = Field(3, ge=1, le=100)
    successes: int = Field(2, ge=1, le=100)
    labels: TextMap = {}
    alert: Annotated[AlertEntry, BeforeValidator(_alert)] = AlertEntry()
    locations: tuple[str, ...] = ("local",)
    paused: bool = False
    runbook: str = ""

    @field_validator("every")
    @classmethod
    def _not_too_often(cls, value: int) -> int:
        if value < _SHORTEST_MS:
            raise ValueError("expected at least 1s")
        return value

    @field_validator("labels")
    @classmethod
    def _label_names(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > _MOST_LABELS:
            raise ValueError(f"expected at most {_MOST_LABELS} labels, got {len(value)}")
        for name in value:
            if not _LABEL_NAME.fullmatch(name) or name in _RESERVED_LABELS:
                raise ValueError(
                    f"{name!r} cannot be a check's label (letters, digits, _; not {', '.join(sorted(_RESERVED_LABELS))})"
                )
        return value


@cache
def check_types() -> Mapping[str, type[Check]]:
    """Every check type by name."""
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")
    return dict(sorted(registered().items()))


def parse_check(raw: Mapping[str, Any], *, source: str = "") -> CheckSpec:
    """One entry of `checks:`. Raises pydantic.ValidationError whose locations are paths inside `raw`."""
    types = check_types()
    named = _type_keys(raw, types)
    if "type" in raw and not named:
        return _of_type_key(raw, types, source)
    if len(named) != 1:
        known = ", ".join(types)
        text = (
            f"expected one check type as a key ({known})" if not named else f"expected one check type, got {' and '.join(named)}"
        )
        raise _errors(raw, [((named[1],) if named else (), text, None)])
    cls, value = types[named[0]], raw[named[0]]
    _file_only(cls, raw, source)
    common = {k: v for k, v in raw.items() if k in _COMMON}
    flat = {k: v for k, v in raw.items() if k not in _COMMON and k != named[0]}
    entry, problems = _validated(CheckEntry, common, {})
    if isinstance(value, Mapping):
        inner = dict(value)
        where: dict[str, tuple[str, ...]] = {str(key): (named[0], str(key)) for key in value}
    else:
        try:
            inner = dict(cls.short_form(value))
        except ValueError as error:
            raise _errors(raw, [*problems, ((named[0],), str(error), value)]) from None
        where = {str(key): (named[0],) for key in inner}
    where |= {key: (key,) for key in flat}
    settings, more = _validated(cls, {**inner, **flat}, where, (named[0],) if isinstance(value, Mapping) else ())
    if problems or more:
        raise _errors(raw, [*problems, *more])
    assert entry is not None and settings is not None
    return _spec(entry, settings, source)


def _type_keys(raw: Mapping[str, Any], types: Mapping[str, type[Check]]) -> list[str]:
    """Keys that name the check's type. `tls` beside `http` is a field of the HTTP check, not a second type."""
    named = [key for key in raw if key in types]
    owners = [key for key in named if all(other == key or other in types[key].model_fields for other in named)]
    return owners if len(owners) == 1 else named


def _of_type_key(raw: Mapping[str, Any], types: Mapping[str, type[Check]], source: str) -> CheckSpec:
    """The dashboard's form: {type, name, settings, every, labels}."""
    if raw["type"] not in types:
        raise _errors(raw, [(("type",), f"unknown check type {raw['type']!r}; known are {', '.join(types)}", raw["type"])])
    _file_only(types[raw["type"]], raw, source)
    rest = {k: v for k, v in raw.items() if k not in ("type", "settings")}
    unknown = [
        ((key,), f"unknown key {key!r}; a check's own fields stand under `settings` here", None)
        for key in rest
        if key not in _COMMON
    ]
    settings_raw = raw.get("settings") or {}
    entry, problems = _validated(CheckEntry, {k: v for k, v in rest.items() if k in _COMMON}, {})
    settings, more = _validated(types[raw["type"]], dict(settings_raw), {}, ("settings",))
    if unknown or problems or more:
        raise _errors(raw, [*unknown, *problems, *more])
    assert entry is not None and settings is not None
    return _spec(entry, settings, source)


def _file_only(cls: type[Check], raw: Mapping[str, Any], source: str) -> None:
    """What touches this machine is the operator's to declare, never somebody's with a browser."""
    if cls.file_only and source == "ui":
        text = f"a {cls.type_name} check can be declared in the configuration file only"
        raise _errors(raw, [(("type",), text, cls.type_name)])


def spec_for_url(url: str, *, name: str = "") -> CheckSpec:
    """What "Watch a URL" declares: an HTTP check, or by scheme a TCP or TLS one. Raises pydantic.ValidationError."""
    text = url.strip()
    scheme, found, rest = text.partition("://")
    if not found:
        text, scheme = f"https://{text}", "https"
    if scheme.lower() in ("tcp", "tls"):
        raw: dict[str, Any] = {"name": name or rest, scheme.lower(): rest.rstrip("/")}
    else:
        parts = urlsplit(text)
        raw = {"name": name or f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}", "http": text}
    return parse_check(raw, source="ui")


def check_of(spec: CheckSpec) -> Check:
    """The executable check of a spec. Raises KeyError for a type this program does not have."""
    return check_types()[spec.type].model_validate(dict(spec.settings))


def slug(name: str) -> str:
    """`Shop: front page` -> `shop-front-page`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:100] or "check"


_COMMON = {field.alias or name for name, field in CheckEntry.model_fields.items()}

_Problem = tuple[tuple[str | int, ...], str, Any]


def _validated(
    cls: type[Any], values: dict[str, Any], where: Mapping[str, tuple[str, ...]], home: tuple[str, ...] = ()
) -> tuple[Any, list[_Problem]]:
    """The value, or its problems with locations moved to where the operator wrote them; `home` for what he did not write."""
    try:
        return cls.model_validate(values), []
    except ValidationError as error:
        return None, [_problem(detail, where, home) for detail in error.errors(include_url=False)]


def _problem(detail: Any, where: Mapping[str, tuple[str, ...]], home: tuple[str, ...]) -> _Problem:
    loc = tuple(detail["loc"])
    moved = (*where.get(str(loc[0]), (*home, loc[0])), *loc[1:]) if loc else home
    match detail["type"]:
        case "extra_forbidden":
            text = f"unknown key {str(loc[-1])!r}; check the spelling or remove it"
        case "missing":
            text = f"the key {str(loc[-1])!r} is missing"
        case "value_error":
            text = str(detail["ctx"]["error"])
        case _:
            text = f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"
    return moved, text, detail["input"]


def _errors(raw: Mapping[str, Any], problems: list[_Problem]) -> ValidationError:
    details = [
        # The text must not be read as a template: braces in it are the operator's.
        InitErrorDetails(type=PydanticCustomError("value_error", "{error}", {"error": text}), loc=loc, input=given)
        for loc, text, given in problems
    ]
    return ValidationError.from_exception_data(str(raw.get("name", "check")), details)


def _spec(entry: CheckEntry, settings: Check, source: str) -> CheckSpec:
    alert = entry.alert
    every_ms = entry.every if "every" in entry.model_fields_set else settings.default_every_ms
    default_ms = min(settings.default_timeout_ms, max(every_ms * 9 // 10, 500))
    timeout_ms = entry.timeout if entry.timeout is not None else default_ms
    return CheckSpec(
        id=entry.id or slug(entry.name),
        name=entry.name,
        type=settings.type_name,
        settings=settings.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        target=settings.target,
        every_ms=every_ms,
        timeout_ms=timeout_ms,
        # Who waits to be called hears the truth at the first word: nothing to confirm.
        failures=1 if settings.passive else alert.failures or entry.failures,
        successes=1 if settings.passive else entry.successes,
        labels=Labels(entry.labels),
        alert=CheckAlert(alert.severity, alert.for_, alert.annotations, alert.enabled),
        locations=entry.locations,
        paused=entry.paused,
        source=source,
        runbook=entry.runbook,
    )
