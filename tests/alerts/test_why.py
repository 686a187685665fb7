"""`tocsin why LABELS`: the trace of an alert names what held it, and where it went."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tocsin.alerts.why import traces
from tocsin.errors import Place
from tocsin.formats.matchers import parse_matchers
from tocsin.model.route import InhibitRule, Receiver, Route, Routing, TimeInterval, TimeRange

ALWAYS = TimeInterval(times=(TimeRange(0, 1440),))


def whole(routing: Routing) -> Routing:
    nobody = Receiver("nobody", place=Place("a.yml", 3))
    return replace(routing, receivers={**routing.receivers, "nobody": nobody}, depends_on={"shop": ("db",)})


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("web", ["inhibited while alert", "held by: inhibited", "-> team"]),
        ("quiet", ["silenced by 0000"]),
        ("night", ["held by: nothing", "quiet because of the time interval always"]),
        ("shop", ["service db, which it depends on, is in trouble"]),
        ("slow", ["Will be told to team at"]),
        ("nobody", ["Told to nobody: the receiver nobody has neither people nor destinations."]),
        ("plain", ["rule: rule:r; fires", "held by: nothing", "told 1 firing", "Told to team"]),
    ],
)
def test_a_trace_says_why(tell: Any, make_routing: Any, service: str, words: list[str]) -> None:
    def child(name: str, receiver: str = "team", **more: Any) -> Route:
        return Route("", receiver, parse_matchers(f"service={name}"), ("service",), **{"group_wait_ms": 1000, **more})

    routing = make_routing(
        child("night", mute_time_intervals=("always",)),
        child("slow", group_wait_ms=600_000),
        child("nobody", "nobody"),
        group_by=("service", "severity"),
        inhibit_rules=(InhibitRule(parse_matchers("severity=critical"), parse_matchers("severity=warning"), ("service",)),),
        time_intervals={"always": (ALWAYS,)},
    )
    story = tell(whole(routing))
    story.silence("service=quiet", until=5000)
    story.fire(service="web", severity="critical")
    story.fire(service="db", severity="critical")
    story.fire(service=service, severity="warning")
    story.at(20)
    found = story.db.read_now(lambda c: traces(c, parse_matchers(f"service={service},severity=warning")))
    (trace,) = found
    text = "\n".join(trace.lines(story.clock.now_ms()))
    assert all(word in text for word in words), text
    assert trace.events[0].verb == "fired"
