"""Laws of the state machine, whatever is seen in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.alert import AlertPhase, AlertReason, AlertState, Transition
from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule, NativeSettings, Semantics
from tocsin.rules.alerting import LOST_AFTER_MS, Hold, Reading, Seen, Wait, fires, resolves, step

NAMES = [Labels({"alertname": "A", "instance": name}) for name in "abc"]
STEP_MS = 15_000

durations = st.sampled_from([0, 10_000, 15_000, 20_000, 45_000, 120_000])
natives = st.builds(
    lambda m, more, clear: NativeSettings(hold_m=m, hold_n=m + more, clear_for_ms=clear),
    st.integers(1, 6),
    st.integers(0, 6),
    durations,
)
rules = st.builds(
    lambda for_ms, keep_ms, semantics, native: AlertRule(
        "r", "g", "A", "x", for_ms=for_ms, keep_firing_for_ms=keep_ms, semantics=semantics, native=native
    ),
    durations,
    durations,
    st.sampled_from(Semantics),
    st.one_of(st.just(NativeSettings()), natives),
)
histories = st.lists(st.tuples(*[st.sampled_from("TTTFFF?H")] * len(NAMES)), max_size=60)
held_histories = st.lists(st.tuples(*[st.sampled_from("TTTFF?HPDLX")] * len(NAMES)), max_size=60)
"""The same with what is true but kept back (P: what it depends on is pending, D: down, L: deploy), and what flaps (X, FALSE)."""
PARENT = Labels({"alertname": "Parent"})
WAITS = {"P": Wait.PARENT_PENDING, "D": Wait.PARENT_DOWN, "L": Wait.DEPLOY}


def reading(marks: tuple[str, ...]) -> Reading:
    return Reading(
        true={name: Seen(1.0) for name, mark in zip(NAMES, marks, strict=True) if mark in "TPDL"},
        unknown={name: AlertReason.TARGET_BLIND for name, mark in zip(NAMES, marks, strict=True) if mark == "?"},
        holding=frozenset(name for name, mark in zip(NAMES, marks, strict=True) if mark == "H"),
        waiting={name: Hold(WAITS[mark], "held", PARENT) for name, mark in zip(NAMES, marks, strict=True) if mark in WAITS},
        flapping={name: "flapping: it does" for name, mark in zip(NAMES, marks, strict=True) if mark == "X"},
    )


def play(
    rule: AlertRule, history: list[tuple[str, ...]]
) -> list[tuple[tuple[str, ...], dict[Labels, AlertState], list[Transition]]]:
    states: dict[Labels, AlertState] = {}
    out = []
    for i, marks in enumerate(history):
        states, transitions = step(rule, states, reading(marks), 1_000_000 + i * STEP_MS, elapsed_ms=STEP_MS if i else 0)
        out.append((marks, states, transitions))
    return out


@settings(max_examples=80, deadline=None)
@given(rules, held_histories)
def test_unknown_never_starts_and_never_resolves(rule: AlertRule, history: list[tuple[str, ...]]) -> None:
    assert len(history) * STEP_MS < LOST_AFTER_MS
    for marks, _, transitions in play(rule, history):
        blind = {name for name, mark in zip(NAMES, marks, strict=True) if mark == "?"}
        for transition in transitions:
            if transition.labels in blind:
                assert not fires(transition)
                assert not resolves(transition)


@settings(max_examples=80, deadline=None)
@given(rules, held_histories)
def test_firing_and_resolving_take_turns(rule: AlertRule, history: list[tuple[str, ...]]) -> None:
    """Resolved only after fired; at most one open alert per label set; the states say the same as the transitions."""
    firing: set[Labels] = set()
    for _, states, transitions in play(rule, history):
        for transition in transitions:
            if fires(transition):
                assert transition.labels not in firing
                firing.add(transition.labels)
            if resolves(transition):
                firing.remove(transition.labels)
        assert firing == {labels for labels, state in states.items() if state.phase in (AlertPhase.FIRING, AlertPhase.CLEARING)}


@settings(max_examples=50, deadline=None)
@given(rules, histories)
def test_label_sets_do_not_touch_each_other(rule: AlertRule, history: list[tuple[str, ...]]) -> None:
    together = play(rule, history)
    alone = play(rule, [(marks[0], "F", "F") for marks in history])
    for (_, states, _), (_, single, _) in zip(together, alone, strict=True):
        assert states.get(NAMES[0]) == single.get(NAMES[0])


@settings(max_examples=50, deadline=None)
@given(durations, durations, st.lists(st.sampled_from("TF"), max_size=60))
def test_a_rule_without_unknowns_is_the_same_in_every_semantics(for_ms: int, keep_ms: int, marks: list[str]) -> None:
    history = [(mark, "F", "F") for mark in marks]
    told = [
        [
            (t.labels, t.at_ms, t.after)
            for _, _, transitions in play(
                AlertRule("r", "g", "A", "x", for_ms=for_ms, keep_firing_for_ms=keep_ms, semantics=semantics), history
            )
            for t in transitions
        ]
        for semantics in Semantics
    ]
    assert told[0] == told[1] == told[2]


@settings(max_examples=80, deadline=None)
@given(rules, held_histories)
def test_what_is_kept_back_says_why_and_does_not_start(rule: AlertRule, history: list[tuple[str, ...]]) -> None:
    """Suppressed always with its cause: an alert behind a failing parent is not told, and its state names the reason."""
    for marks, states, transitions in play(rule, history):
        started = {transition.labels for transition in transitions if fires(transition)}
        for name, mark in zip(NAMES, marks, strict=True):
            state = states.get(name)
            if mark in "DL":
                assert name not in started
            if state is not None and state.held_since_ms:
                assert state.phase is AlertPhase.PENDING
                assert state.note
            if state is not None and state.reason is AlertReason.UNREACHABLE:
                assert state.below == PARENT


@settings(max_examples=80, deadline=None)
@given(rules, held_histories)
def test_what_flaps_does_not_end_and_says_why(rule: AlertRule, history: list[tuple[str, ...]]) -> None:
    for marks, states, transitions in play(rule, history):
        ended = {transition.labels for transition in transitions if resolves(transition)}
        for name, mark in zip(NAMES, marks, strict=True):
            if mark == "X":
                assert name not in ended
                if name in states and states[name].phase is not AlertPhase.PENDING:
                    assert states[name].flapping_since_ms
                    assert states[name].note
