"""The annotation named `tocsin`: settings Prometheus does not have, as a small YAML map.

tocsin: |
  hold: 8 of 10            # m of the last n evaluations TRUE, in place of `for`
  clear: 4                 # firing ends when the value passes this, not the threshold (or clear_expr: ...)
  clear_for: 5m
  min_traffic: {expr: 'sum by (service) (rate(requests_total[5m]))', value: 0.1}
  on_nodata: keep          # keep | ok | alert
  depends_on: [DatabaseDown]
  proof: 'probe_success{vantage="outside"} == 0'
  deploy_grace: 3m
  probation_until: 2026-12-01
  thresholds: [{match: '{instance="big"}', value: 95}]
  semantics: native        # native | compatible | prometheus
"""

from __future__ import annotations

import datetime as dt

from tocsin.errors import ParseError, Problem
from tocsin.formats.yaml_tree import path_text
from tocsin.model.rule import NativeSettings, Semantics
from tocsin.promql.ast import VectorSelector
from tocsin.promql.parser import parse
from tocsin.rules.document import Field, Reader
from tocsin.rules.threshold import with_threshold

ANNOTATION = "tocsin"
_KEYS = {
    "semantics",
    "hold",
    "clear",
    "clear_expr",
    "clear_for",
    "min_traffic",
    "on_nodata",
    "depends_on",
    "proof",
    "deploy_grace",
    "probation_until",
    "thresholds",
}
_ON_NODATA = ("keep", "ok", "alert")


def parse_native(reader: Reader, annotation: Field, expr: str) -> tuple[Semantics, NativeSettings]:
    """Settings of one rule, whose expression is `expr`. Problems go to `reader`, at the place of the annotation."""
    inner = Reader(reader.file)
    result = _settings(inner, inner.read(reader.text(annotation)), expr)
    place, path = reader.place(annotation), path_text(annotation.path)
    for problem in inner.problems:
        reader.problems.append(Problem(place, f"{path}.{problem.path}" if problem.path else path, problem.message))
    return result


def native_of(text: str, expr: str) -> tuple[Semantics, NativeSettings]:
    """Settings of a rule that stands in no file. Raises ParseError with what is wrong first."""
    reader = Reader("tocsin")
    result = _settings(reader, reader.read(text), expr)
    for problem in reader.problems:
        raise ParseError(f"{problem.path}: {problem.message}".removeprefix(": "))
    return result


def _settings(reader: Reader, root: Field, expr: str) -> tuple[Semantics, NativeSettings]:
    fields = reader.mapping(root, _KEYS)
    m, n = _hold(reader, fields.get("hold"))
    traffic_expr, traffic = _min_traffic(reader, fields.get("min_traffic"))
    on_nodata = reader.text(fields.get("on_nodata")) or "keep"
    if on_nodata not in _ON_NODATA:
        reader.refuse(fields["on_nodata"], f"expected one of {', '.join(_ON_NODATA)}, not {on_nodata!r}")
    settings = NativeSettings(
        hold_m=m,
        hold_n=n,
        clear_expr=_clear_expr(reader, fields, expr),
        clear_for_ms=reader.duration_ms(fields.get("clear_for")),
        min_traffic_expr=traffic_expr,
        min_traffic=traffic,
        on_nodata=on_nodata,
        depends_on=tuple(reader.text(item) for item in reader.items(fields.get("depends_on"))),
        proof_expr=_expression(reader, fields.get("proof")),
        deploy_grace_ms=reader.duration_ms(fields.get("deploy_grace")),
        probation_until_ms=_instant_ms(reader, fields.get("probation_until")),
        thresholds=tuple(_thresholds(reader, fields.get("thresholds"), expr)),
    )
    return _semantics(reader, fields, settings), settings


def _semantics(reader: Reader, fields: dict[str, Field], settings: NativeSettings) -> Semantics:
    text = reader.text(fields.get("semantics")) or Semantics.NATIVE.value
    try:
        semantics = Semantics(text)
    except ValueError:
        reader.refuse(fields["semantics"], f"expected native, compatible or prometheus, not {text!r}")
        return Semantics.NATIVE
    if semantics is not Semantics.NATIVE and settings != NativeSettings():
        reader.refuse(fields["semantics"], f"semantics {text} takes no other setting of this annotation")
    return semantics


def _hold(reader: Reader, field: Field | None) -> tuple[int, int]:
    text = reader.text(field)
    if field is None or not text:
        return 0, 0
    left, _, right = text.partition(" of ")
    if not (left.strip().isdecimal() and right.strip().isdecimal() and 1 <= int(left) <= int(right) <= 60):
        reader.refuse(field, f"expected `m of n` with 1 <= m <= n <= 60, not {text!r}")
        return 0, 0
    return int(left), int(right)


def _clear_expr(reader: Reader, fields: dict[str, Field], expr: str) -> str:
    clear, given = fields.get("clear"), fields.get("clear_expr")
    if clear is not None and given is not None:
        reader.refuse(clear, "give either clear or clear_expr")
    elif clear is not None:
        value = reader.number(clear)
        text = with_threshold(expr, value)
        if text is None:
            reader.refuse(clear, "needs an expression of the form `... > number`; use clear_expr here")
        return text or ""
    return _expression(reader, given)


def _expression(reader: Reader, field: Field | None) -> str:
    text = reader.text(field)
    if field is not None and text:
        try:
            parse(text)
        except ParseError as error:
            reader.refuse(field, f"could not parse expression: {error}")
    return text


def _min_traffic(reader: Reader, field: Field | None) -> tuple[str, float]:
    if field is None:
        return "", 0.0
    fields = reader.mapping(field, {"expr", "value"})
    return _expression(reader, fields.get("expr")), reader.number(fields.get("value"))


def _thresholds(reader: Reader, field: Field | None, expr: str) -> list[tuple[str, float]]:
    found = []
    for item in reader.items(field):
        fields = reader.mapping(item, {"match", "value"})
        match = reader.text(fields.get("match"))
        try:
            selector = isinstance(parse(match), VectorSelector)
        except ParseError:
            selector = False
        if not selector:
            reader.refuse(item, f'expected matchers such as {{instance="db1"}}, not {match!r}', "match")
            continue
        if with_threshold(expr, 0.0) is None:
            reader.refuse(item, "needs an expression of the form `... > number`")
            continue
        found.append((match, reader.number(fields.get("value"))))
    return found


def _instant_ms(reader: Reader, field: Field | None) -> int:
    text = reader.text(field)
    if field is None or not text:
        return 0
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        reader.refuse(field, f"expected a date such as 2026-12-01 or 2026-12-01T08:00:00Z, not {text!r}")
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return int(moment.timestamp() * 1000)
