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

import yaml

from tocsin.errors import ParseError
from tocsin.model.rule import NativeSettings, Semantics
from tocsin.promql.ast import VectorSelector
from tocsin.promql.parser import parse
from tocsin.rules.threshold import with_threshold
from tocsin.rules.yamlnode import Reader

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


def parse_native(reader: Reader, node: yaml.Node, text: str, expr: str, path: str) -> tuple[Semantics, NativeSettings]:
    """Settings of one rule. Problems go to `reader`, at the place of the annotations."""
    inner = Reader(reader.file)
    path = f"{path}.annotations.{ANNOTATION}"
    root = inner.compose(text)
    if root is None:
        result = Semantics.NATIVE, NativeSettings()
    else:
        result = _settings(inner, root, expr)
    for problem in inner.problems:
        reader.refuse(node, f"{path}.{problem.path}" if problem.path else path, problem.message)
    return result


def native_of(text: str, expr: str) -> tuple[Semantics, NativeSettings]:
    """Settings of a rule that stands in no file. Raises ParseError with what is wrong first."""
    reader = Reader("tocsin")
    root = reader.compose(text)
    result = (Semantics.NATIVE, NativeSettings()) if root is None else _settings(reader, root, expr)
    for problem in reader.problems:
        raise ParseError(f"{problem.path}: {problem.message}".removeprefix(": "))
    return result


def _settings(reader: Reader, root: yaml.Node, expr: str) -> tuple[Semantics, NativeSettings]:
    fields = reader.mapping(root, "", _KEYS)
    m, n = _hold(reader, fields.get("hold"))
    traffic_expr, traffic = _min_traffic(reader, fields.get("min_traffic"))
    on_nodata = reader.text(fields.get("on_nodata"), "on_nodata") or "keep"
    if on_nodata not in _ON_NODATA:
        reader.refuse(fields["on_nodata"], "on_nodata", f"expected one of {', '.join(_ON_NODATA)}, not {on_nodata!r}")
    settings = NativeSettings(
        hold_m=m,
        hold_n=n,
        clear_expr=_clear_expr(reader, fields, expr),
        clear_for_ms=reader.duration_ms(fields.get("clear_for"), "clear_for"),
        min_traffic_expr=traffic_expr,
        min_traffic=traffic,
        on_nodata=on_nodata,
        depends_on=tuple(reader.text(item, path) for path, item in reader.items(fields.get("depends_on"), "depends_on")),
        proof_expr=_expression(reader, fields.get("proof"), "proof"),
        deploy_grace_ms=reader.duration_ms(fields.get("deploy_grace"), "deploy_grace"),
        probation_until_ms=_instant_ms(reader, fields.get("probation_until")),
        thresholds=tuple(_thresholds(reader, fields.get("thresholds"), expr)),
    )
    return _semantics(reader, fields, settings), settings


def _semantics(reader: Reader, fields: dict[str, yaml.Node], settings: NativeSettings) -> Semantics:
    text = reader.text(fields.get("semantics"), "semantics") or Semantics.NATIVE.value
    try:
        semantics = Semantics(text)
    except ValueError:
        reader.refuse(fields["semantics"], "semantics", f"expected native, compatible or prometheus, not {text!r}")
        return Semantics.NATIVE
    if semantics is not Semantics.NATIVE and settings != NativeSettings():
        reader.refuse(fields["semantics"], "semantics", f"semantics {text} takes no other setting of this annotation")
    return semantics


def _hold(reader: Reader, node: yaml.Node | None) -> tuple[int, int]:
    text = reader.text(node, "hold")
    if node is None or not text:
        return 0, 0
    left, _, right = text.partition(" of ")
    if not (left.strip().isdecimal() and right.strip().isdecimal() and 1 <= int(left) <= int(right) <= 60):
        reader.refuse(node, "hold", f"expected `m of n` with 1 <= m <= n <= 60, not {text!r}")
        return 0, 0
    return int(left), int(right)


def _clear_expr(reader: Reader, fields: dict[str, yaml.Node], expr: str) -> str:
    clear, given = fields.get("clear"), fields.get("clear_expr")
    if clear is not None and given is not None:
        reader.refuse(clear, "clear", "give either clear or clear_expr")
    elif clear is not None:
        value = reader.number(clear, "clear")
        text = with_threshold(expr, value)
        if text is None:
            reader.refuse(clear, "clear", "needs an expression of the form `... > number`; use clear_expr here")
        return text or ""
    return _expression(reader, given, "clear_expr")


def _expression(reader: Reader, node: yaml.Node | None, path: str) -> str:
    text = reader.text(node, path)
    if node is not None and text:
        try:
            parse(text)
        except ParseError as error:
            reader.refuse(node, path, f"could not parse expression: {error}")
    return text


def _min_traffic(reader: Reader, node: yaml.Node | None) -> tuple[str, float]:
    if node is None:
        return "", 0.0
    fields = reader.mapping(node, "min_traffic", {"expr", "value"})
    return _expression(reader, fields.get("expr"), "min_traffic.expr"), reader.number(fields.get("value"), "min_traffic.value")


def _thresholds(reader: Reader, node: yaml.Node | None, expr: str) -> list[tuple[str, float]]:
    found = []
    for path, item in reader.items(node, "thresholds"):
        fields = reader.mapping(item, path, {"match", "value"})
        match = reader.text(fields.get("match"), f"{path}.match")
        try:
            selector = isinstance(parse(match), VectorSelector)
        except ParseError:
            selector = False
        if not selector:
            reader.refuse(item, f"{path}.match", f'expected matchers such as {{instance="db1"}}, not {match!r}')
            continue
        if with_threshold(expr, 0.0) is None:
            reader.refuse(item, path, "needs an expression of the form `... > number`")
            continue
        found.append((match, reader.number(fields.get("value"), f"{path}.value")))
    return found


def _instant_ms(reader: Reader, node: yaml.Node | None) -> int:
    text = reader.text(node, "probation_until")
    if node is None or not text:
        return 0
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        reader.refuse(node, "probation_until", f"expected a date such as 2026-12-01 or 2026-12-01T08:00:00Z, not {text!r}")
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return int(moment.timestamp() * 1000)
