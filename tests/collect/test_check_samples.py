"""What a result leaves in the store."""

from __future__ import annotations

import pytest
from tests.collect.fakes import MemoryWriter

from tocsin.collect.catalog import parse_check
from tocsin.collect.check_samples import write_result
from tocsin.collect.series_writer import SeriesWriter
from tocsin.model.check import CheckReason, CheckResult


@pytest.mark.parametrize(
    ("kind", "name"), [("postgres", "pg_up"), ("mysql", "mysql_up"), ("redis", "redis_up"), ("mongodb", "mongodb_up")]
)
def test_a_database_is_up_under_its_exporter_s_name_and_absent_while_unknown(writer: MemoryWriter, kind: str, name: str) -> None:
    spec, series = parse_check({"name": "db", kind: "db.internal", "labels": {"team": "shop"}}), SeriesWriter(writer)
    for t_ms, ok, unknown in ((1_000, True, False), (2_000, False, False), (3_000, False, True)):
        result = CheckResult(spec.id, t_ms, 1.0, ok, CheckReason.OK, "", unknown=unknown)
        write_result(series, spec, result, t_ms)
    assert writer.series(name, check="db", team="shop") == [(1_000, 1.0), (2_000, 0.0), (3_000, None)]
