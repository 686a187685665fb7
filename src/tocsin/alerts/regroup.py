"""The routing changed: alerts are put into the groups of the new tree; what was told stays known."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.engine import Connection

from tocsin.alerts import rows
from tocsin.alerts.group import Group, first_flush_ms, new_group
from tocsin.alerts.route import RouteTree


def regroup_all(tx: Connection, tree: RouteTree, now_ms: int) -> None:
    """Give every firing alert its groups under `tree`.

    A group that still exists under the same receiver and key goes on. An alert that a receiver was told of and that now goes
    elsewhere stays in the old group until it ends, so that its end is told; a group left with such alerts only is retired.
    """
    alerts = {fp: known.alert for fp, known in rows.read_all_alerts(tx).items()}
    before = rows.read_groups(tx)
    members = {(key, fp) for key, of_group in rows.read_members(tx, before).items() for fp in of_group}
    wanted: dict[str, Group] = {}
    due: dict[str, int] = {}
    joined: set[tuple[str, str]] = set()
    still_led_to: set[str] = set()
    for fingerprint, alert in alerts.items():
        for node in tree.hearers(alert):
            group = new_group(node, alert.labels, now_ms)
            if not alert.firing(now_ms):
                # What ended stays where it is; its group goes on, since it takes the alert again when it fires anew.
                still_led_to.add(group.key)
                continue
            wanted.setdefault(group.key, group)
            first_ms = first_flush_ms(node.route, starts_at_ms=alert.starts_at_ms, severest=False, now_ms=now_ms)
            due[group.key] = min(due.get(group.key, first_ms), first_ms)
            joined.add((group.key, fingerprint))

    left = {
        (key, fp)
        for key, fp in members - joined
        if fp not in alerts or (alerts[fp].firing(now_ms) and fp not in before[key].notified_firing)
    }
    rows.remove_members(tx, sorted(left))
    rows.add_members(tx, sorted(joined - members), now_ms)
    changed = [
        replace(before[key], route_id=group.route_id, retired=False) if key in before else replace(group, next_flush_ms=due[key])
        for key, group in wanted.items()
    ]
    inhabited = {key for key, _ in members - left}
    gone = [(key, group) for key, group in before.items() if key not in wanted]
    changed += [replace(group, retired=key not in still_led_to) for key, group in gone if key in inhabited]
    rows.write_groups(tx, changed)
    rows.delete_groups(tx, [key for key in before if key not in wanted and key not in inhabited])
