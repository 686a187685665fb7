"""Laws of the dispatcher over random histories: a restart changes nothing, nobody is left believing something false."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.alerts.conftest import Story, routing

from tocsin.alerts.route import default_routing
from tocsin.formats.matchers import parse_matchers
from tocsin.model.route import InhibitRule, Route, Routing

NAMES = ("a", "b", "c")
INHIBIT = InhibitRule(parse_matchers("instance=a"), parse_matchers("instance=b"), ())
ROUTINGS = {
    "one group": routing(),
    "a group each, with inhibition": routing(group_by=None, inhibit_rules=(INHIBIT,)),
    "two receivers": routing(Route("", "other", parse_matchers('instance=~"a|b"'), ("alertname",), 0, 60_000, 600_000, True)),
    "built in": default_routing(),
}

wait = st.tuples(st.just("wait"), st.sampled_from([1, 5, 11, 30, 75]))
fire = st.tuples(st.just("fire"), st.sampled_from(NAMES))
resolve = st.tuples(st.just("resolve"), st.sampled_from(NAMES))
silence = st.tuples(st.just("silence"), st.sampled_from(NAMES))
unsilence = st.tuples(st.just("unsilence"), st.sampled_from(NAMES))
histories = st.lists(st.one_of(wait, fire, resolve, silence, unsilence, wait), min_size=1, max_size=14)


class Teller:
    """Plays a history and remembers which silences and alerts are open."""

    def __init__(self, folder: Path, own: Routing) -> None:
        self.story = Story(folder / "state.db", own)
        self._second = 0
        self._silences: dict[str, str] = {}
        self._firing: set[str] = set()

    def play(self, action: tuple[str, Any]) -> None:
        match action:
            case ("wait", seconds):
                self._second += seconds
                self.story.at(self._second)
            case ("fire", name) if name not in self._firing:
                self._firing.add(name)
                self.story.fire(instance=name)
            case ("resolve", name) if name in self._firing:
                self._firing.discard(name)
                self.story.resolve(instance=name)
            case ("silence", name) if name not in self._silences:
                self._silences[name] = self.story.silence(f"instance={name}", until=self._second + 10_000)
            case ("unsilence", name) if name in self._silences:
                self.story.unsilence(self._silences.pop(name))

    def settle(self) -> None:
        """Everything ends, every silence too, and time passes."""
        for name in NAMES:
            self.play(("unsilence", name))
        for name in NAMES:
            self.play(("resolve", name))
        self.play(("wait", 75))

    def told(self) -> list[tuple[Any, ...]]:
        return [
            (
                t,
                page.receiver,
                page.reason,
                [a.labels["instance"] for a in page.firing],
                [a.labels["instance"] for a in page.resolved],
                [a.labels["instance"] for a, _ in page.suppressed],
            )
            for t, page in self.story.pages
        ]


@settings(max_examples=7, deadline=None)
@given(history=histories, name=st.sampled_from(sorted(ROUTINGS)), data=st.data())
def test_a_restart_at_any_point_equals_no_restart(history: list[tuple[str, Any]], name: str, data: st.DataObject) -> None:
    points = data.draw(st.sets(st.integers(0, len(history) - 1), min_size=1, max_size=3))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        plain, broken = Teller(Path(one), ROUTINGS[name]), Teller(Path(two), ROUTINGS[name])
        for number, action in enumerate(history):
            plain.play(action)
            broken.play(action)
            if number in points:
                broken.story.restart()
        plain.settle()
        broken.settle()
        assert broken.told() == plain.told()
        for instance in NAMES:
            assert broken.story.timeline(instance=instance) == plain.story.timeline(instance=instance)


@settings(max_examples=7, deadline=None)
@given(history=histories, name=st.sampled_from(sorted(ROUTINGS)))
def test_nobody_is_left_believing_something_false(history: list[tuple[str, Any]], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        teller = Teller(Path(folder), ROUTINGS[name])
        for action in history:
            teller.play(action)
        teller.settle()
        believed: dict[str, set[str]] = {}
        for _, page in teller.story.pages:
            beliefs = believed.setdefault(page.receiver + page.group_key, set())
            assert all(alert.ends_at_ms for alert in page.resolved), "an end is told only of what ended"
            assert all(causes for _, causes in page.suppressed), "what is suppressed says by what"
            # An end that nobody was told the beginning of may stand in the message, but is never its reason.
            if page.reason.name in ("SOME_RESOLVED", "ALL_RESOLVED"):
                assert beliefs & {alert.fingerprint for alert in page.resolved}
            beliefs |= {alert.fingerprint for alert in page.firing}
            beliefs -= {alert.fingerprint for alert in page.resolved}
            if page.reason.name == "ALL_RESOLVED":
                assert not beliefs, "all resolved, and yet something that was told still fires"
        assert not any(believed.values()), "everything has ended, and somebody was not told"


@settings(max_examples=6, deadline=None)
@given(history=histories)
def test_every_firing_alert_is_told_or_says_why_not(history: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        teller = Teller(Path(folder), ROUTINGS["one group"])
        for action in history:
            teller.play(action)
        teller.play(("wait", 75))
        for instance in teller._firing:
            explanation = teller.story.explanation(instance=instance)
            told = {a.labels["instance"] for _, page in teller.story.pages for a in page.firing}
            assert instance in told or "silenced by" in explanation, explanation
