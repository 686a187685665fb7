"""What a PostgreSQL server says of itself, under postgres_exporter's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tocsin.collect.outcome import Sample

_DATABASE_COLUMNS = (
    "numbackends", "xact_commit", "xact_rollback", "blks_read", "blks_hit", "tup_returned", "tup_fetched", "tup_inserted",
    "tup_updated", "tup_deleted", "conflicts", "temp_files", "temp_bytes", "deadlocks",
)  # fmt: skip
_MOST_STATEMENTS = 20

_ACTIVITY = """
select coalesce(datname, ''), coalesce(state, 'unknown'), count(*),
       coalesce(max(extract(epoch from now() - xact_start)), 0)::float8,
       count(*) filter (where wait_event_type = 'Lock')
from pg_stat_activity where backend_type = 'client backend' group by 1, 2
"""
_LOCKS = """
select coalesce(d.datname, ''), lower(l.mode), count(*)
from pg_locks l left join pg_database d on d.oid = l.database group by 1, 2
"""
_SIZES = """
select datname, pg_database_size(oid) from pg_database
where datallowconn and has_database_privilege(oid, 'connect') limit 100
"""
_STATEMENTS = f"""
select r.rolname, d.datname, s.queryid::text, s.calls, s.total_exec_time / 1000, s.rows
from pg_stat_statements s join pg_database d on d.oid = s.dbid join pg_roles r on r.oid = s.userid
order by s.total_exec_time desc limit {_MOST_STATEMENTS}
"""


async def postgres_statistics(connection: Any) -> tuple[Sample, ...]:
    """Samples of one look; a view that this user may not read is left out. Raises psycopg.Error when the session breaks."""
    samples: list[Sample] = []
    for query, read in ((_ACTIVITY, _activity), (_database_query(), _databases), (_LOCKS, _locks), (_SIZES, _sizes)):
        samples += read(await _rows(connection, query))
    if await _rows(connection, "select 1 from pg_extension where extname = 'pg_stat_statements'"):
        samples += _statements(await _rows(connection, _STATEMENTS))
    return tuple(samples)


async def _rows(connection: Any, query: str) -> list[Any]:
    from psycopg import errors

    try:
        return list(await (await connection.execute(query)).fetchall())
    except (errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedColumn, errors.ObjectNotInPrerequisiteState):
        return []


def _database_query() -> str:
    columns = ", ".join(f"coalesce({name}, 0)" for name in _DATABASE_COLUMNS)
    return f"select datname, {columns} from pg_stat_database where datname is not null limit 100"


def _activity(rows: list[Any]) -> Iterator[Sample]:
    waiting: dict[str, float] = {}
    for database, state, count, longest_s, locked in rows:
        labels = {"datname": database, "state": state}
        yield "pg_stat_activity_count", labels, float(count)
        yield "pg_stat_activity_max_tx_duration", labels, float(longest_s)
        waiting[database] = waiting.get(database, 0.0) + locked
    for database, count in waiting.items():
        yield "pg_stat_activity_lock_waiting_count", {"datname": database}, count


def _databases(rows: list[Any]) -> Iterator[Sample]:
    for database, *values in rows:
        for name, value in zip(_DATABASE_COLUMNS, values, strict=True):
            yield f"pg_stat_database_{name}", {"datname": database}, float(value)


def _locks(rows: list[Any]) -> Iterator[Sample]:
    for database, mode, count in rows:
        yield "pg_locks_count", {"datname": database, "mode": mode}, float(count)


def _sizes(rows: list[Any]) -> Iterator[Sample]:
    for database, size in rows:
        yield "pg_database_size_bytes", {"datname": database}, float(size)


def _statements(rows: list[Any]) -> Iterator[Sample]:
    for user, database, query_id, calls, seconds, returned in rows:
        labels = {"user": user, "datname": database, "queryid": query_id}
        yield "pg_stat_statements_calls_total", labels, float(calls)
        yield "pg_stat_statements_seconds_total", labels, float(seconds)
        yield "pg_stat_statements_rows_total", labels, float(returned)
