"""The forms of the first steps: somebody to tell and how, and a schedule in which they are on call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.config.imports.plan import Known, Plan, Taken
from tocsin.errors import CommandError

CHANNELS = ("email", "ntfy", "slack", "discord", "msteams", "mattermost", "telegram", "webhook")
"""What can be reached with an address and at most one secret; the others are written into tocsin.yaml."""
_SETTINGS = {"ntfy": ("server", "token"), "telegram": ("bot_token",)}
_MAIL = {"smarthost": "smtp_smarthost", "from": "smtp_from", "username": "smtp_auth_username", "password": "smtp_auth_password"}
SCHEDULE, POLICY = "primary", "default"
_MONDAY = "2026-01-05T09:00"


@dataclass(frozen=True, slots=True)
class PersonForm:
    name: str
    time_zone: str = "UTC"
    channel: str = ""
    """Empty: no way to reach them is added."""
    address: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """`server`, `token`, `bot_token`; of the mail server `smarthost`, `from`, `username`, `password`, `tls` (yes or no)."""
    on_call: bool = False


def plan_person(form: PersonForm, known: Known) -> Plan:
    """Raises CommandError 409 where that is in the files already, 422 where the form is not filled in."""
    plan = Plan(titles=[f"{form.name} on call" if form.on_call else f"a way to reach {form.name}" if form.channel else form.name])
    if form.name in known.people and form.channel:
        text = f"{form.name} is there already: add the address under Settings, Account, or under `users` in tocsin.yaml"
        raise CommandError(409, "exists", text)
    if form.name not in known.people:
        plan.add_list("users", [_user(form, plan, known)])
        plan.taken.append(Taken("user", form.name, f"told by {form.channel}" if form.channel else "without an address yet"))
    if form.on_call:
        _on_call(form, plan, known)
    if plan.empty:
        raise CommandError(409, "exists", f"{form.name} is there already")
    return plan


def _user(form: PersonForm, plan: Plan, known: Known) -> dict[str, Any]:
    user: dict[str, Any] = {"name": form.name, "time_zone": form.time_zone}
    if not form.channel:
        return user
    if form.channel not in CHANNELS:
        raise CommandError(422, "bad_channel", f"expected one of {', '.join(CHANNELS)}, not {form.channel!r}")
    if not form.address.strip():
        raise CommandError(422, "bad_address", "expected an address")
    if form.channel == "email":
        user["email"] = form.address.strip()
        _mail_server(form.settings, plan, known)
    own = {key: form.settings[key] for key in _SETTINGS.get(form.channel, ()) if form.settings.get(key)}
    contact = {"channel": form.channel, "address": form.address.strip(), **({"settings": own} if own else {})}
    return {**user, "contact": [contact]}


def _mail_server(settings: Mapping[str, str], plan: Plan, known: Known) -> None:
    """Once for everybody; one that is written already stays."""
    there = known.sections.get("global") or {}
    wanted: dict[str, Any] = {key: settings[name] for name, key in _MAIL.items() if settings.get(name)}
    if there.get("smtp_smarthost"):
        return
    if "smtp_smarthost" not in wanted:
        raise CommandError(422, "no_mail_server", "expected a mail server such as mail.example:587")
    wanted["smtp_require_tls"] = settings.get("tls", "yes") != "no"
    plan.sections["global"] = {key: value for key, value in wanted.items() if key not in there}
    plan.taken.append(Taken("mail server", str(wanted["smtp_smarthost"])))


def _on_call(form: PersonForm, plan: Plan, known: Known) -> None:
    if known.schedules:
        names = ", ".join(sorted(known.schedules))
        raise CommandError(409, "exists", f"there is a schedule already ({names}): add {form.name} to its layers in tocsin.yaml")
    layer = {"name": "weekly", "users": [form.name], "anchor": _MONDAY, "period": {"unit": "weeks", "every": 1}}
    plan.add_list("schedules", [{"name": SCHEDULE, "time_zone": form.time_zone, "layers": [layer]}])
    plan.taken.append(Taken("schedule", SCHEDULE, f"{form.name}, week after week"))
    if known.policies:
        plan.changes.append(f"The policies stay as they are: write `notify: schedule:{SCHEDULE}` into one of their steps.")
        return
    plan.add_list("policies", [{"name": POLICY, "steps": [{"notify": [f"schedule:{SCHEDULE}"], "wait": "5m"}]}])
    plan.taken.append(Taken("policy", POLICY, f"pages whoever is on call in {SCHEDULE}, again after 5 minutes"))
    if known.people - {form.name}:
        plan.changes.append(f"Until now every alert pages everybody under `users`; from now on whoever is on call: {form.name}.")
