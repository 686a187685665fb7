"""Groups of pushed samples: kept alive, replaced, deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.collect.fakes import ManualClock, MemoryWriter

from tocsin.collect import pushed
from tocsin.collect.pushed import PushedGroups
from tocsin.formats.pushgateway import MOST_IN_GROUP, PushError, read_push
from tocsin.model.labels import Labels
from tocsin.state import schema
from tocsin.state.sql import Database, sqlite_url

GROUP = Labels({"job": "backup"})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    found = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    schema.metadata.create_all(found.engine)
    yield found
    found.close()


@pytest.fixture
def groups(writer: MemoryWriter, db: Database, clock: ManualClock) -> PushedGroups:
    return PushedGroups(writer=writer, db=db, clock=clock)


def push(groups: PushedGroups, body: bytes, *, replace: bool = False, group: Labels = GROUP) -> None:
    groups.push(group, read_push(body, "", "", group), replace=replace)


def last(writer: MemoryWriter, name: str, **labels: str) -> float | None:
    return writer.series(name, **labels)[-1][1]


def test_a_push_is_stored_at_once_with_its_time(groups: PushedGroups, writer: MemoryWriter, clock: ManualClock) -> None:
    push(groups, b"# TYPE rows gauge\nrows 3\n")
    assert writer.series("rows", job="backup") == [(clock.now_ms(), 3.0)]
    assert last(writer, "push_time_seconds", job="backup") == clock.now_ms() / 1000
    assert writer.metadata["rows"][0] == "gauge"


def test_post_replaces_metrics_of_the_same_name_and_put_the_group(groups: PushedGroups, writer: MemoryWriter) -> None:
    push(groups, b'rows{table="a"} 1\nrows{table="b"} 2\nseconds 9\n')
    push(groups, b'rows{table="a"} 5\n')
    assert last(writer, "rows", table="a") == 5.0
    assert last(writer, "rows", table="b") is None
    assert last(writer, "seconds") == 9.0
    push(groups, b"", replace=False)
    assert last(writer, "seconds") == 9.0
    push(groups, b"bytes 7\n", replace=True)
    assert [last(writer, name) for name in ("seconds", "bytes")] == [None, 7.0]
    assert last(writer, "rows", table="a") is None


def test_delete_ends_the_group_alone(groups: PushedGroups, writer: MemoryWriter) -> None:
    other = Labels({"job": "backup", "instance": "b"})
    push(groups, b"rows 1\n")
    push(groups, b"rows 2\n", group=other)
    groups.delete(GROUP)
    groups.delete(Labels({"job": "nobody"}))
    ends = {labels.get("instance"): points[-1][1] for labels, points in writer.samples.items() if labels["__name__"] == "rows"}
    assert ends == {"": None, "b": 2.0}
    assert writer.samples[Labels({"__name__": "push_time_seconds", "job": "backup"})][-1][1] is None


async def test_groups_are_stored_again_on_the_grid(groups: PushedGroups, writer: MemoryWriter, clock: ManualClock) -> None:
    push(groups, b"rows 1\n")
    pushed_s = clock.now_ms() / 1000
    running = asyncio.create_task(groups.run())
    await clock.settle()
    for _ in range(3):
        await clock.advance(15_000)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    points = writer.series("rows", job="backup")
    assert len(points) == 4
    assert all(t_ms % 15_000 == 0 and value == 1.0 for t_ms, value in points[1:])
    assert last(writer, "push_time_seconds") == pushed_s


def test_limits_refuse_a_push_and_keep_what_was_there(groups: PushedGroups, writer: MemoryWriter) -> None:
    push(groups, b"rows 1\n")
    with pytest.raises(PushError, match="split it by a label") as caught:
        push(groups, b"".join(b"m%d 1\n" % i for i in range(MOST_IN_GROUP + 1)))
    assert caught.value.status == 413
    assert len(writer.samples) == 2


async def test_groups_go_on_after_a_restart(groups: PushedGroups, writer: MemoryWriter, db: Database, clock: ManualClock) -> None:
    push(groups, b'rows{table="a"} 1\nempty NaN\nmost +Inf\n')
    push(groups, b"rows 2\n", group=Labels({"job": "gone"}))
    for group in (GROUP, Labels({"job": "gone"})):
        await groups.save(group)
    groups.delete(Labels({"job": "gone"}))
    await groups.save(Labels({"job": "gone"}))
    pushed_ms = clock.now_ms()

    again = MemoryWriter()
    reborn = PushedGroups(writer=again, db=db, clock=clock)
    running = asyncio.ensure_future(reborn.run())
    await clock.settle()
    await clock.advance(2 * pushed.EVERY_MS)
    running.cancel()
    assert last(again, "rows", table="a") == 1.0
    assert last(again, "most") == float("inf")
    assert last(again, "push_time_seconds", job="backup") == pushed_ms / 1000
    assert {labels.get("job") for labels in again.samples} == {"backup"}
    push(reborn, b"rows 9\n")
    assert last(again, "most") == float("inf"), "a POST after the restart keeps the rest of the group"
