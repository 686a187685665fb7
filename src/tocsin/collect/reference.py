"""docs/reference/checks.md, written from the registry: the fields of a check are its documentation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tocsin.collect.catalog import CheckEntry, check_types
from tocsin.collect.check import Check
from tocsin.model.duration import format_duration

_INTRODUCTION = """# Checks

A check asks something the same question again and again and keeps what it saw: verdict, reason, evidence. It is declared under
`checks:` by its type (`http: https://shop.example/health`), with the type's own settings beside it or under it:

```yaml
checks:
  - name: shop
    http: https://shop.example/health
    every: 60s
    expect: {status: 200, body: {contains: ok}, latency: < 1s}
    labels: {service: shop, team: web}
    alert: {severity: critical, failures: 3}
  - name: database port
    tcp: db.internal:5432
```

## States

| state | when |
|---|---|
| pending | no result yet |
| up | the last result was good; after DOWN, `successes` good ones in a row |
| degraded | it answers, but not as it should: slow, expires soon, nearly full, behind |
| down | `failures` failures in a row; the first re-check comes after 5 s, the second after 10 s, each on a new connection |
| unknown | Tocsin could not judge: blind itself, the agent silent, a driver missing. Never down, not counted in uptime |
| paused | a person paused it |

Every result has a verdict, a reason (one word of a fixed list), a sentence, its phases in milliseconds, and evidence: the
addresses, and what its type names below. Verdict, duration and figures of every result are in the store; evidence is kept for
31 days, of failures, state changes, runs by people, and of a good run every ten minutes. State changes are kept for ever.
`GET /api/tocsin/v1/checks/{id}/runs` reads the evidence, `.../uptime?period=day|month|year` what they add up to.
Credentials are hidden in it: of a request only headers that never carry one have their values, and of answers what the check
sent, or what is called a token, key or password, is left out.

Cloud metadata and link-local addresses are refused unless `egress.allow` names them, for every type and after every redirect.
"""


def checks_reference() -> str:
    """The whole page, Markdown."""
    parts = [_INTRODUCTION, "## Common to all\n", _table(CheckEntry)]
    for name, cls in check_types().items():
        parts += [f"## {name}\n", _about(cls), _table(cls)]
    return "\n".join(parts).rstrip() + "\n"


def _about(cls: type[Check]) -> str:
    text = inspect.cleandoc(cls.__doc__ or "")
    notes = []
    if cls.file_only:
        notes.append("Can be declared in the configuration file only.")
    if cls.passive:
        notes.append("Is not run by Tocsin.")
    if cls.default_every_ms != CheckEntry.model_fields["every"].default:
        notes.append(f"Runs every {format_duration(cls.default_every_ms)} unless `every` says otherwise.")
    example = ["", f"    - {cls.example}"] if cls.example else []
    evidence = ["", f"Evidence: {cls.evidence}."] if cls.evidence else []
    return "\n".join([text, *(["", " ".join(notes)] if notes else []), *example, *evidence, ""])


def _table(cls: type[BaseModel]) -> str:
    rows = ["| setting | type | default | |", "|---|---|---|---|"]
    rows += [f"| `{path}` | {kind} | {default} | {text} |" for path, kind, default, text in _rows(cls, "")]
    return "\n".join(rows) + "\n" if len(rows) > 2 else "No settings.\n"


def _rows(cls: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    schema = cls.model_json_schema(by_alias=True)
    for name, field in cls.model_fields.items():
        shown = field.alias or name
        inner = _inner_model(field)
        if inner is not None:
            yield from _rows(inner, f"{prefix}{shown}.")
            continue
        entry = schema["properties"][shown]
        yield f"{prefix}{shown}", _kind(entry), _default(field, str(entry.get("format", ""))), _cell(field.description or "")


def _inner_model(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return _cell(" or ".join(f"`{value}`" for value in schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(entry) for entry in schema["anyOf"] if entry.get("type") != "null"))
    if schema.get("format") in ("duration", "size"):
        return str(schema["format"])
    return {"string": "text", "integer": "number", "boolean": "true or false", "object": "mapping", "array": "list"}.get(
        str(schema.get("type", "")), "any"
    )


def _default(field: FieldInfo, format: str) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value in ("", (), {}, []):
        return ""
    if format == "duration":
        return f"`{format_duration(value)}`"
    if format == "size":
        return f"`{value >> 10}KiB`"
    value = ", ".join(map(str, value)) if isinstance(value, tuple) else value
    return _cell(f"`{value}`".replace("True", "true").replace("False", "false"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
