"""Fake PagerDuty Events API v2. `python -m tests.fakes.pagerduty --port N`."""

from __future__ import annotations

from typing import Any

from tests.fakes.provider import Answer, Broken, Provider, Seen, json_answer, json_body, main


class FakePagerDuty(Provider):
    """Keeps one alert per dedup key, as PagerDuty does: open, acknowledged or resolved."""

    name = "pagerduty"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.alerts: dict[str, str] = {}
        self.opened: list[str] = []
        """Dedup keys in order of new alerts: a key twice = it fired again after its end."""

    def handle(self, seen: Seen) -> Answer:
        if seen.path != "/v2/enqueue":
            raise Broken(f"unknown path {seen.path}", Answer(404))
        body = json_body(seen)
        if problem := check_event(body, len(seen.body)):
            errors = {"status": "invalid event", "message": "Event object is invalid", "errors": [problem]}
            raise Broken(problem, json_answer(400, errors))
        key, action = body["dedup_key"], body["event_action"]
        if action == "trigger":
            if self.alerts.get(key, "resolved") == "resolved":
                self.opened.append(key)
                self.alerts[key] = "open"
        elif key in self.alerts and self.alerts[key] != "resolved":
            self.alerts[key] = {"acknowledge": "acknowledged", "resolve": "resolved"}[action]
        answer = {"status": "success", "message": "Event processed", "dedup_key": key}
        return json_answer(202, answer, parsed=body)


def check_event(body: Any, length: int) -> str:
    """Why PagerDuty would refuse this event, or empty."""
    if length > 512_000:
        return "event larger than 512 KB"
    if len(body.get("routing_key", "")) != 32:
        return "routing_key must have 32 characters"
    if body.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        return "unknown event_action"
    if not 1 <= len(body.get("dedup_key", "")) <= 255:
        return "dedup_key must have 1 to 255 characters"
    if body["event_action"] != "trigger":
        return ""
    payload = body.get("payload", {})
    if not 1 <= len(payload.get("summary", "")) <= 1024:
        return "summary must have 1 to 1024 characters"
    if not payload.get("source"):
        return "source is missing"
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        return "unknown severity"
    return "" if all(link.get("href", "").startswith("http") for link in body.get("links", [])) else "a link without href"


if __name__ == "__main__":
    main(FakePagerDuty)
