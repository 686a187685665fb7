"""Samples as a Parquet file, for DuckDB, pandas, Spark and others. Needs the extra `analytics` (duckdb).

One row per sample: metric VARCHAR, labels MAP(VARCHAR, VARCHAR) without the metric's name, t TIMESTAMP (UTC, ms), value DOUBLE;
sorted by metric, series, time. Staleness markers are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.errors import UsageError
from tocsin.model.labels import METRIC_NAME, Matcher, MatchOp
from tocsin.model.ports import SampleReader
from tocsin.model.series import SeriesGroup, is_absent, is_stale

_TABLES = """
CREATE TABLE samples(id BIGINT, t_ms BIGINT, value DOUBLE);
CREATE TABLE series(id BIGINT, metric VARCHAR);
CREATE TABLE pairs(id BIGINT, name VARCHAR, text VARCHAR);
"""
_COPY = """
COPY (
    SELECT metric, coalesce(labels, MAP {{}}::MAP(VARCHAR, VARCHAR)) AS labels, epoch_ms(t_ms) AS t, value
    FROM samples JOIN series USING (id)
    LEFT JOIN (SELECT id, map(list(name ORDER BY name), list(text ORDER BY name)) AS labels FROM pairs GROUP BY id) USING (id)
    ORDER BY metric, id, t_ms
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


def write_parquet(reader: SampleReader, matchers: Sequence[Matcher], start_ms: int, end_ms: int, path: Path) -> int:
    """Write the samples of series that pass every matcher within [start, end]; answers how many. Raises UsageError."""
    try:
        import duckdb
    except ImportError:
        raise UsageError("Parquet needs duckdb: pip install 'tocsin[analytics]'") from None
    connection = duckdb.connect()
    connection.execute(_TABLES)
    count = series = 0
    # One metric at a time, so that no more than one metric's samples are held here.
    for metric in reader.label_values(METRIC_NAME, [matchers], start_ms, end_ms):
        own = [*matchers, Matcher(METRIC_NAME, MatchOp.EQUAL, metric)]
        for group in reader.select(own, start_ms, end_ms).groups:
            count += _insert(connection, group, series)
            series += len(group.labels)
    try:
        connection.execute(_COPY.format(path=str(path).replace("'", "''")))
    except duckdb.IOException as error:
        raise UsageError(f"{path} cannot be written: {error}") from None
    finally:
        connection.close()
    return count


def _insert(connection: Any, group: SeriesGroup, first: int) -> int:
    row, column = np.nonzero(~(is_absent(group.values) | is_stale(group.values)))
    samples = {"id": row + first, "t_ms": group.t_ms[column], "value": group.values[row, column]}
    numbered = list(enumerate(group.labels, first))
    pairs = [(number, name, text) for number, labels in numbered for name, text in labels.pairs if name != METRIC_NAME]
    series = {
        "id": np.array([number for number, _ in numbered]),
        "metric": np.array([labels.get(METRIC_NAME) for _, labels in numbered], object),
    }
    named = {
        "id": np.array([number for number, _, _ in pairs], np.int64),
        "name": np.array([name for _, name, _ in pairs], object),
        "text": np.array([text for _, _, text in pairs], object),
    }
    # DuckDB takes NaN in an array for NULL, and there is no NULL here.
    columns = {"samples": "id, t_ms, coalesce(value, 'NaN'::DOUBLE)", "series": "*", "pairs": "*"}
    for table, part in (("samples", samples), ("series", series), ("pairs", named)):
        if len(part["id"]):
            connection.register("part", part)
            connection.execute(f"INSERT INTO {table} SELECT {columns[table]} FROM part")
            connection.unregister("part")
    return len(row)
