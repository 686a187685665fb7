"""Process-level chaos: real Tocsin processes, real local receivers, faults on schedule; one row per scenario.

`python -m bench.chaos.run [--services 20] [--fault-s 15] [scenario ...]` prints the table. Alerts come in by Alertmanager's API
and are posted again every few seconds, as Prometheus does; four receivers (webhook, PagerDuty, Slack, mail) are told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakes.mail import FakeMail
from tests.fakes.pagerduty import FakePagerDuty
from tests.fakes.provider import Provider
from tests.fakes.slack import FakeSlack
from tests.fakes.webhook import FakeWebhook
from tests.process.harness import Tocsin

CHANNELS = ("webhook", "pagerduty", "slack", "email")
CONFIG = """
shipped_rules: false
host: {{enabled: false}}
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@t.example, smtp_require_tls: false}}
route: {{receiver: all, group_by: [alertname, service], group_wait: 1s, group_interval: 3s, repeat_interval: 4h}}
receivers:
  - name: all
    webhook_configs: [{{url: "{hook}/in"}}]
    pagerduty_configs: [{{routing_key: {key}, url: "{pagerduty}/v2/enqueue"}}]
    slack_configs: [{{api_url: "{slack}/services/T/B/x", channel: "#ops", send_resolved: true}}]
    email_configs: [{{to: ops@t.example, send_resolved: true}}]
"""
_NAME = re.compile(r"svc-\d+")


@dataclass
class Row:
    """What a scenario came to; every figure but `late_s_max` should be 0, duplicates at most the ambiguous sends."""

    scenario: str
    expected: int
    lost: int = 0
    duplicates: int = 0
    false_resolves: int = 0
    resolves_lost: int = 0
    pagerduty_open: int = 0
    silenced_paged: int = 0
    back_s: float = 0.0
    late_s_max: float = 0.0
    broken: list[str] = field(default_factory=list)


class Stage:
    """Tocsin with its four receivers, and the services that fire."""

    def __init__(self, folder: Path, services: int, fault_s: float) -> None:
        self.names = [f"svc-{n}" for n in range(services)]
        self.fault_s = fault_s
        self.hook, self.pagerduty, self.slack = FakeWebhook(), FakePagerDuty(), FakeSlack()
        self.mail = FakeMail()
        self.tocsin = Tocsin(folder)
        self.folder = folder
        self.firing: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.mails_at: list[float] = []
        self.back_s = 0.0

    @contextlib.contextmanager
    def running(self) -> Any:
        with self.hook, self.pagerduty, self.slack, self.mail:
            text = CONFIG.format(
                mail=self.mail.port, hook=self.hook.url, pagerduty=self.pagerduty.url, slack=self.slack.url, key="k" * 32
            )
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "tocsin.yaml").write_text(text)
            self.tocsin.start()
            try:
                yield self
            finally:
                self.tocsin.kill_all()

    # -- services --

    def fire(self, names: list[str]) -> None:
        self.firing.update({name: self.firing.get(name, time.time()) for name in names})
        self.report()

    def recover(self, names: list[str]) -> None:
        self.ended.update({name: time.time() for name in names})
        self.report()

    def report(self) -> bool:
        """Post every alert as it stands now; False while Tocsin cannot be reached."""
        now = datetime.now(UTC)
        body = []
        for name, since in self.firing.items():
            ended = self.ended.get(name)
            ends = datetime.fromtimestamp(ended, UTC) if ended else now + timedelta(minutes=4)
            body.append(
                {
                    "labels": {"alertname": "Down", "service": name, "severity": "critical"},
                    "annotations": {"summary": f"{name} is down"},
                    "startsAt": datetime.fromtimestamp(since, UTC).isoformat(),
                    "endsAt": ends.isoformat(),
                }
            )
        try:
            self.tocsin.post("/api/v2/alerts", body)
        except Exception:
            return False
        return True

    def wait(self, seconds: float) -> None:
        """Let time pass; alerts are posted again every two seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.report()
            time.sleep(min(2.0, max(until - time.monotonic(), 0)))

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if done():
                return True
            self.report()
            time.sleep(0.5)
        return done()

    def kill_core(self) -> None:
        begun = time.monotonic()
        self.tocsin.kill("core")
        while not self.report() and time.monotonic() < begun + 60:
            time.sleep(0.05)
        self.back_s = max(self.back_s, time.monotonic() - begun)

    # -- what arrived --

    def heard(self, channel: str) -> list[tuple[str, str, float]]:
        """(service, firing | resolved, when) in order of arrival at one receiver."""
        if channel == "email":
            mails = self.mail.mails
            return [(_name(m["subject"]), "resolved" if m["text"].startswith("RESOLVED") else "firing", 0.0) for m in mails]
        provider: Provider = {"webhook": self.hook, "pagerduty": self.pagerduty, "slack": self.slack}[channel]
        return [found for seen in provider.accepted if (found := _heard(channel, seen.parsed, seen.at_s))[0]]

    def told(self, kind: str) -> int:
        return sum(len({name for name, what, _ in self._named(channel) if what == kind}) for channel in CHANNELS)

    def _named(self, channel: str) -> list[tuple[str, str, float]]:
        if channel != "pagerduty":
            return self.heard(channel)
        # A resolve names only its key: look the service up in the trigger of the same key.
        names: dict[str, str] = {}
        out = []
        for seen in self.pagerduty.accepted:
            event = seen.parsed
            if event["event_action"] == "trigger":
                names[event["dedup_key"]] = _name(event["payload"]["summary"])
            kind = "resolved" if event["event_action"] == "resolve" else "firing"
            out.append((names.get(event["dedup_key"], ""), kind, seen.at_s))
        return out

    def judge(self, scenario: str, *, silenced: bool = False) -> Row:
        row = Row(scenario, len(self.firing) * len(CHANNELS), back_s=round(self.back_s, 2))
        for channel in CHANNELS:
            heard = self._named(channel)
            counts = Counter((name, kind) for name, kind, _ in heard)
            for name, since in self.firing.items():
                if silenced:
                    row.silenced_paged += counts[name, "firing"]
                    continue
                # A receiver that was away for the whole of it hears of both at once, in the message about the end.
                row.lost += counts[name, "firing"] == 0 and counts[name, "resolved"] == 0
                row.duplicates += max(counts[name, "firing"] - 1, 0) + max(counts[name, "resolved"] - 1, 0)
                row.resolves_lost += name in self.ended and counts[name, "resolved"] == 0
                row.false_resolves += name not in self.ended and counts[name, "resolved"] > 0
                at = [t for n, kind, t in heard if n == name and kind == "firing" and t]
                row.late_s_max = max(row.late_s_max, round(min(at) - since, 1)) if at else row.late_s_max
        row.pagerduty_open = sum(state != "resolved" for state in self.pagerduty.alerts.values()) if self.ended else 0
        row.broken = [*self.hook.broken, *self.pagerduty.broken, *self.slack.broken, *self.mail.broken]
        return row


def _heard(channel: str, body: Any, at_s: float) -> tuple[str, str, float]:
    if channel == "webhook":
        return body["commonLabels"].get("service", ""), body["status"], at_s
    if channel == "slack":
        return _name(body["text"]), "resolved" if body["text"].startswith("RESOLVED") else "firing", at_s
    return "", "", at_s


def _name(text: str) -> str:
    match = _NAME.search(text)
    return match[0] if match else ""


# -- scenarios --


def _all_told(stage: Stage) -> bool:
    return stage.told("firing") >= len(stage.firing) * len(CHANNELS)


def _all_over(stage: Stage) -> bool:
    return stage.told("resolved") >= len(stage.ended) * len(CHANNELS)


def _end(stage: Stage) -> None:
    stage.recover(list(stage.firing))
    stage.until(lambda: _all_over(stage), 90)
    stage.wait(6)


def no_fault(stage: Stage) -> None:
    stage.fire(stage.names)
    stage.until(lambda: _all_told(stage), 150)
    _end(stage)


def core_killed_while_firing(stage: Stage) -> None:
    half = len(stage.names) // 2
    stage.fire(stage.names[:half])
    time.sleep(1.2)
    stage.kill_core()
    stage.fire(stage.names)
    stage.until(lambda: _all_told(stage), 90)
    _end(stage)


def core_killed_while_steady(stage: Stage) -> None:
    stage.fire(stage.names)
    stage.until(lambda: _all_told(stage), 60)
    stage.kill_core()
    stage.wait(stage.fault_s)
    _end(stage)


def core_killed_while_resolving(stage: Stage) -> None:
    stage.fire(stage.names)
    stage.until(lambda: _all_told(stage), 60)
    stage.recover(stage.names)
    time.sleep(1.0)
    stage.kill_core()
    _end(stage)


def down_while_services_recover(stage: Stage) -> None:
    stage.fire(stage.names)
    stage.until(lambda: _all_told(stage), 60)
    stage.tocsin.kill_all()
    stage.ended.update({name: time.time() for name in stage.names})
    time.sleep(stage.fault_s / 2)
    stage.tocsin.start()
    _end(stage)


def restart_storm(stage: Stage) -> None:
    for n in range(5):
        stage.fire(stage.names[: (n + 1) * len(stage.names) // 5])
        time.sleep(1.0)
        stage.kill_core()
    stage.until(lambda: _all_told(stage), 90)
    _end(stage)


def terminated_while_firing(stage: Stage) -> None:
    stage.fire(stage.names)
    time.sleep(1.2)
    stage.tocsin.stop()
    stage.tocsin.start()
    stage.until(lambda: _all_told(stage), 90)
    _end(stage)


def _providers(stage: Stage, act: str, **more: Any) -> None:
    for provider in (stage.hook, stage.pagerduty, stage.slack):
        provider.script(act, times=len(stage.names), **more)
    stage.mail.script("451", times=len(stage.names))


def receivers_answer_500(stage: Stage) -> None:
    _providers(stage, "500")
    no_fault(stage)


def receivers_answer_429(stage: Stage) -> None:
    _providers(stage, "429", retry_after=2)
    no_fault(stage)


def receivers_drop_connections(stage: Stage) -> None:
    _providers(stage, "drop")
    no_fault(stage)


def slack_hangs(stage: Stage) -> None:
    stage.slack.script("hang", times=3, seconds=stage.fault_s)
    no_fault(stage)


def silence_then_kill(stage: Stage) -> None:
    now = datetime.now(UTC)
    matchers = [{"name": "alertname", "value": "Down", "isRegex": False, "isEqual": True}]
    body = {
        "matchers": matchers, "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "chaos", "comment": "quiet",
    }  # fmt: skip
    stage.tocsin.post("/api/v2/silences", body)
    stage.kill_core()
    stage.fire(stage.names)
    stage.wait(stage.fault_s)


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    scenario.__name__: scenario
    for scenario in (
        no_fault, core_killed_while_firing, core_killed_while_steady, core_killed_while_resolving, down_while_services_recover,
        restart_storm, terminated_while_firing, receivers_answer_500, receivers_answer_429, receivers_drop_connections,
        slack_hangs, silence_then_kill,
    )
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS], default=[])
    parser.add_argument("--services", type=int, default=20)
    parser.add_argument("--fault-s", type=float, default=15.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    columns = [name for name in Row.__dataclass_fields__ if name != "broken"]
    if not options.json:
        print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for name in options.scenarios or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            stage = Stage(Path(folder) / "tocsin", options.services, options.fault_s)
            with stage.running():
                SCENARIOS[name](stage)
                row = stage.judge(name, silenced=name == "silence_then_kill")
        if options.json:
            print(json.dumps(row.__dict__), flush=True)
        else:
            print("| " + " | ".join(str(getattr(row, column)) for column in columns) + " |", flush=True)
            for problem in row.broken[:3]:
                print(f"  broken: {problem}", flush=True)


if __name__ == "__main__":
    main()
