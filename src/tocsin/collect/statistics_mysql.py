"""What a MySQL or MariaDB server says of itself, under mysqld_exporter's names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tocsin.collect.outcome import Sample

_STATUS = frozenset(
    {
        "aborted_clients", "aborted_connects", "bytes_received", "bytes_sent", "connections", "created_tmp_disk_tables",
        "created_tmp_tables", "innodb_buffer_pool_bytes_data", "innodb_buffer_pool_bytes_dirty",
        "innodb_buffer_pool_read_requests",
        "innodb_buffer_pool_reads", "innodb_deadlocks", "innodb_row_lock_current_waits", "innodb_row_lock_time",
        "innodb_row_lock_waits", "max_used_connections", "open_files", "open_tables", "queries", "questions", "select_full_join",
        "slow_queries", "table_locks_waited", "threads_cached", "threads_connected", "threads_running", "uptime",
    }
)  # fmt: skip
_COMMANDS = frozenset({"com_select", "com_insert", "com_update", "com_delete", "com_replace", "com_commit", "com_rollback"})


def mysql_statistics(status: Iterable[tuple[str, str]], max_connections: int) -> Iterator[Sample]:
    """Samples of the rows of `show global status`."""
    yield "mysql_global_variables_max_connections", {}, float(max_connections)
    for name, value in status:
        key = name.lower()
        try:
            number = float(value)
        except ValueError:
            continue
        if key in _STATUS:
            yield f"mysql_global_status_{key}", {}, number
        elif key in _COMMANDS:
            yield "mysql_global_status_commands_total", {"command": key[4:]}, number
