"""What a Redis server says of itself, under redis_exporter's names. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tocsin.collect.outcome import Sample

_NAMES = {
    "uptime_in_seconds": "redis_uptime_in_seconds",
    "connected_clients": "redis_connected_clients",
    "blocked_clients": "redis_blocked_clients",
    "maxclients": "redis_config_maxclients",
    "used_memory": "redis_memory_used_bytes",
    "used_memory_rss": "redis_memory_used_rss_bytes",
    "maxmemory": "redis_memory_max_bytes",
    "mem_fragmentation_ratio": "redis_mem_fragmentation_ratio",
    "total_connections_received": "redis_connections_received_total",
    "total_commands_processed": "redis_commands_processed_total",
    "rejected_connections": "redis_rejected_connections_total",
    "expired_keys": "redis_expired_keys_total",
    "evicted_keys": "redis_evicted_keys_total",
    "keyspace_hits": "redis_keyspace_hits_total",
    "keyspace_misses": "redis_keyspace_misses_total",
    "total_net_input_bytes": "redis_net_input_bytes_total",
    "total_net_output_bytes": "redis_net_output_bytes_total",
    "used_cpu_sys": "redis_cpu_sys_seconds_total",
    "used_cpu_user": "redis_cpu_user_seconds_total",
    "connected_slaves": "redis_connected_slaves",
    "master_last_io_seconds_ago": "redis_master_last_io_seconds_ago",
    "rdb_last_save_time": "redis_rdb_last_save_timestamp_seconds",
    "rdb_changes_since_last_save": "redis_rdb_changes_since_last_save",
}


def redis_statistics(info: Mapping[str, str]) -> Iterator[Sample]:
    """Samples of the answer to INFO."""
    for key, name in _NAMES.items():
        try:
            yield name, {}, float(info[key])
        except (KeyError, ValueError):
            continue
    if "master_link_status" in info:
        yield "redis_master_link_up", {}, float(info["master_link_status"] == "up")
    for key, value in info.items():
        if key.startswith("db") and key[2:].isdigit():
            figures = dict(part.partition("=")[::2] for part in value.split(","))
            yield "redis_db_keys", {"db": key}, float(figures.get("keys") or 0)
            yield "redis_db_keys_expiring", {"db": key}, float(figures.get("expires") or 0)


def parse_info(text: str) -> dict[str, str]:
    """`INFO`'s lines as a mapping."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines()) if value}
