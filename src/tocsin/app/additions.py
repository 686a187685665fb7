"""Commands about what is imported or filled in in the dashboard: `addition.{plan,add,person,list,remove}`.

files ──plan──▶ what is taken, what is left and where, what its targets answer   (nothing is changed)
        add───▶ the same plan once more; it must be the one that was seen ──▶ additions, declared checks ──▶ in force
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from tocsin.app.configuration import Configuration
from tocsin.app.status import problem_row
from tocsin.bus.wire import Args, CommandHandler
from tocsin.collect.catalog import parse_check
from tocsin.collect.tryout import Look, look
from tocsin.config.additions import Addition
from tocsin.config.imports.files import LARGEST, MOST_FILES, plan_files
from tocsin.config.imports.person import PersonForm, plan_person
from tocsin.config.imports.plan import Known, Plan
from tocsin.config.secrets import hide_secrets
from tocsin.errors import CommandError, ConfigError, Problem
from tocsin.model.event import Actor
from tocsin.model.ports import Random

if TYPE_CHECKING:
    from tocsin.app.core import Core

_MOST_LOOKS = 8
_MOST_METRICS = 200


class AdditionCommands:
    def __init__(self, core: Core, configuration: Configuration, random: Random) -> None:
        self._core = core
        self._configuration = configuration
        self._random = random
        self._lock = asyncio.Lock()

    def table(self) -> Mapping[str, CommandHandler]:
        return {
            "addition.plan": self.plan,
            "addition.add": self.add,
            "addition.person": self.person,
            "addition.list": self.listed,
            "addition.remove": self.remove,
        }

    async def plan(self, args: Args, _actor: Actor) -> Any:
        """{files: {name: text}} -> what `add` would do with them, and what the targets answer now."""
        plan, problems = await self._planned(_files_of(args))
        looks = await self._look(plan)
        return {**_shown(plan, problems), "looks": [_look_row(one) for one in looks]}

    async def add(self, args: Args, actor: Actor) -> Any:
        """{files, seen} -> {id, ...}. Raises CommandError 409 when `seen` is not the plan any more, 422 when nothing is taken."""
        async with self._lock:
            plan, problems = await self._planned(_files_of(args))
            shown = _shown(plan, problems)
            if args.get("seen") and args["seen"] != shown["seen"]:
                raise CommandError(409, "changed", "what this would do has changed since you looked; look again")
            return await self._take(plan, problems, actor, kind="import")

    async def person(self, args: Args, actor: Actor) -> Any:
        """{name, time_zone, channel, address, settings, on_call} -> {id, ...}"""
        form = PersonForm(
            name=str(args["name"]).strip(),
            time_zone=str(args.get("time_zone") or "UTC"),
            channel=str(args.get("channel", "")),
            address=str(args.get("address", "")),
            settings={str(key): str(value) for key, value in (args.get("settings") or {}).items()},
            on_call=bool(args.get("on_call")),
        )
        async with self._lock:
            plan = plan_person(form, Known.of(self._configuration.config))
            return await self._take(plan, await self._problems(plan), actor, kind="person")

    async def listed(self, _args: Args, _actor: Actor) -> Any:
        """Newest first, with the lines that would say the same in tocsin.yaml; secrets are hidden."""
        return [_row(one) for one in reversed(self._configuration.additions)]

    async def remove(self, args: Args, actor: Actor) -> Any:
        """Raises CommandError 404, and 409 where something else rests on it."""
        found = next((one for one in self._configuration.additions if one.id == str(args["id"])), None)
        if found is None:
            raise CommandError(404, "not_found", f"nothing was added here under {args['id']!r}")
        if not await self._configuration.remove_addition(found.id, actor):
            raise CommandError(404, "not_found", f"nothing was added here under {args['id']!r}")
        self._core.changes("config")
        return {}

    # -- parts ---------------------------------------------------------------------------------------------------------

    async def _planned(self, files: Mapping[str, str]) -> tuple[Plan, list[Problem]]:
        known = Known.of(self._configuration.config)
        plan = await asyncio.to_thread(plan_files, files, known)
        return plan, await self._problems(plan)

    async def _problems(self, plan: Plan) -> list[Problem]:
        """What keeps the plan from being taken as a whole: the real reader is asked how it goes with all that is there."""
        if not plan.sections:
            return []
        try:
            await self._configuration.try_addition(_addition(plan, "new", "import"))
        except ConfigError as error:
            return [problem for problem in error.problems if not problem.warning] or error.problems
        return []

    async def _look(self, plan: Plan) -> list[Look]:
        looks: list[Look] = []
        for job in plan.jobs:
            if len(looks) >= _MOST_LOOKS:
                break
            looks += await look(job, _MOST_LOOKS - len(looks))
        return looks

    async def _take(self, plan: Plan, problems: list[Problem], actor: Actor, *, kind: str) -> Any:
        if problems:
            raise CommandError(422, "not_taken", "; ".join(f"{one.path}: {one.message}".lstrip(": ") for one in problems[:3]))
        if plan.empty:
            raise CommandError(422, "nothing_taken", "there is nothing in it that can be taken")
        addition = _addition(plan, self._random.randbytes(6).hex(), kind) if plan.sections else None
        try:
            checks = [(raw, parse_check(raw, source="ui")) for raw in plan.checks]
        except ValidationError as error:  # each was read when the plan was made
            raise CommandError(422, "invalid_check", str(error)) from None
        await self._configuration.add(addition, checks, actor)
        self._core.changes("config")
        shown = _shown(plan, [])
        return {"id": addition.id if addition else "", "taken": shown["taken"], "left": shown["left"]}


def _files_of(args: Args) -> dict[str, str]:
    files = {str(name): str(text) for name, text in args["files"].items()}
    if len(files) > MOST_FILES:
        raise CommandError(413, "too_many", f"these are {len(files)} files; {MOST_FILES} are the most at once")
    size = sum(map(len, files.values()))
    if size > LARGEST:
        raise CommandError(413, "too_large", f"the files have {size:,} characters together; {LARGEST:,} are the most")
    return files


def _addition(plan: Plan, id_: str, kind: str) -> Addition:
    return Addition(id_, ", ".join(dict.fromkeys(plan.titles))[:200], kind, plan.sections, plan.files)


def _shown(plan: Plan, problems: list[Problem]) -> dict[str, Any]:
    taken = [{"what": one.what, "name": one.name, "note": one.note} for one in plan.taken]
    body = [plan.sections, plan.files, plan.checks]
    return {
        "taken": taken,
        "left": [problem_row(problem) for problem in plan.left],
        "problems": [problem_row(problem) for problem in problems],
        "changes": plan.changes,
        "ok": not problems and not plan.empty,
        "seen": hashlib.blake2b(
            orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS), digest_size=12
        ).hexdigest(),
    }


def _look_row(one: Look) -> dict[str, Any]:
    metrics = [{"name": name, "type": kind, "help": text[:300]} for name, kind, text in one.metrics[:_MOST_METRICS]]
    return {"url": one.url, "error": one.error, "samples": one.samples, "count": len(one.metrics), "metrics": metrics}


def _row(one: Addition) -> dict[str, Any]:
    hidden = Addition(one.id, one.title, one.kind, hide_secrets(dict(one.sections)), one.files)
    return {
        "id": one.id,
        "title": one.title,
        "kind": one.kind,
        "created_by": one.created_by,
        "created_ms": one.created_ms,
        "text": hidden.text(),
        "files": sorted(one.files),
    }
