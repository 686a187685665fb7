"""What can be asked of the core: each command is one line that names the stage which does it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tocsin.app import status
from tocsin.app.additions import AdditionCommands
from tocsin.app.audited import audited
from tocsin.app.configuration import Configuration
from tocsin.app.contacts import ContactCommands
from tocsin.app.coverage import coverage
from tocsin.app.feeds import FeedCommands
from tocsin.app.ingest import ingest_table
from tocsin.app.plannedwork import MaintenanceCommands
from tocsin.app.preview import preview
from tocsin.app.publications import StatusPageCommands
from tocsin.app.quiethours import QuietHoursCommands
from tocsin.app.reports import ReportCommands
from tocsin.app.selftest import SelfTest
from tocsin.app.settings import ServeSettings
from tocsin.app.silencing import silence_incident
from tocsin.app.statuspages import published_on
from tocsin.app.storecommands import StoreCommands
from tocsin.app.values import result_to_json
from tocsin.bus.wire import Args, CommandHandler
from tocsin.collect.catalog import parse_check, spec_for_url
from tocsin.collect.receive import result_of
from tocsin.collect.reports import ReportId
from tocsin.errors import CommandError
from tocsin.formats.alertmanager_json import alerts_from_command
from tocsin.formats.exposition import write_text
from tocsin.incidents import commands as incident_commands
from tocsin.incidents import overrides
from tocsin.incidents.duty import duty
from tocsin.incidents.people import who_can_be_told
from tocsin.incidents.questions import schedule_query, since_ms
from tocsin.incidents.why import notification_row
from tocsin.metrics import REGISTRY, Family, Sample, merged
from tocsin.model.check import CheckState
from tocsin.model.event import Actor
from tocsin.model.ports import Random
from tocsin.model.series import ValueType
from tocsin.state.marks import check_mark, hold
from tocsin.web.commands import commands as account_commands
from tocsin.web.inbound import Inbound

if TYPE_CHECKING:
    from tocsin.app.core import Core

_TEST_WAIT_S = 20.0

__all__ = ["command_table", "ingest_table"]


def command_table(
    *, core: Core, configuration: Configuration, settings: ServeSettings, random: Random
) -> Mapping[str, CommandHandler]:
    """Every command by name."""
    handlers = _Handlers(core, configuration, settings)
    table: dict[str, CommandHandler] = {
        **AdditionCommands(core, configuration, random).table(),
        **ContactCommands(core, configuration, random).table(),
        **QuietHoursCommands(core, configuration).table(),
        **FeedCommands(core, configuration, random).table(),
        **ReportCommands(core, configuration).table(),
        **MaintenanceCommands(core, configuration, random).table(),
        **StatusPageCommands(core, configuration, random).table(),
        **StoreCommands(core, settings.data_dir / "snapshots", random).table(),
        **account_commands(core.db, core.clock, random, core.changes),
        "alerts.post": handlers.alerts_post,
        "alerts.groups": handlers.alerts_groups,
        "alerts.routing": core.dispatcher.command_routing,
        "silence.set": core.dispatcher.command_set_silence,
        "silence.expire": core.dispatcher.command_expire_silence,
        "check.add": handlers.check_add,
        "check.remove": handlers.check_remove,
        "check.run": handlers.check_run,
        "check.begin": handlers.check_begin,
        "check.follow": handlers.check_follow,
        "check.pause": handlers.check_pause,
        "check.resume": handlers.check_resume,
        "check.list": handlers.check_list,
        "heartbeat.ping": handlers.heartbeat_ping,
        "config.reload": handlers.config_reload,
        "config.state": handlers.config_state,
        "config.preview": handlers.config_preview,
        "rules.state": handlers.rules_state,
        "targets.state": handlers.targets_state,
        "probe.plan": handlers.probe_plan,
        "probe.report": handlers.probe_report,
        "probe.progress": handlers.probe_progress,
        "process.metrics": handlers.process_metrics,
        "process.exposition": handlers.process_exposition,
        "notification.test": handlers.notification_test,
        "notification.retry": handlers.notification_retry,
        "drill.start": handlers.drill_start,
        "selftest": SelfTest(core, configuration, random).run,
        "oncall.state": handlers.oncall_state,
        "schedule.query": handlers.schedule_query,
        "override.add": handlers.override_add,
        "override.remove": handlers.override_remove,
        "heartbeat.url": handlers.heartbeat_url,
        "check.set": handlers.check_set,
        "coverage": handlers.coverage,
        "query": handlers.query,
        "status": handlers.status,
        "status.brief": handlers.status_brief,
        "signin.link": handlers.signin_link,
    }
    for verb in incident_commands.COMMANDS:
        table[f"incident.{verb}"] = _incident(core, verb)
    table["incident.publish"] = published_on(lambda: configuration.config, table["incident.publish"])
    table["incident.silence"] = lambda args, actor: silence_incident(core, args, actor)
    inbound = Inbound(
        settings=lambda: configuration.config.channels,
        command=lambda name, args, actor: table[name](args, actor),
        clock=core.clock,
        report=core.deliverer.report,
        http=core.http,
    )
    table["inbound"] = inbound
    core.slack_socket.obeyed_by(inbound.slack_actions.obey)
    core.telegram.commanded_by(lambda name, args, actor: table[name](args, actor))
    table = audited(table, core.db, core.clock)
    handlers.table = table
    return table


def _report_id(args: Args) -> ReportId | None:
    """Which report it is; None from a prober that does not say."""
    session = str(args.get("session", ""))
    return ReportId(str(args["location"]), session, int(args["number"]), int(args.get("sent_ms", 0))) if session else None


def _incident(core: Core, verb: str) -> CommandHandler:
    async def run(args: Args, actor: Actor) -> Any:
        return await core.escalator.command(verb, args, actor)

    return run


class _Handlers:
    """Commands that need more than one part, or that speak for the process as a whole."""

    def __init__(self, core: Core, configuration: Configuration, settings: ServeSettings) -> None:
        self._core = core
        self._configuration = configuration
        self._settings = settings
        self._processes: dict[str, dict[str, Any]] = {}
        self._check_rows = status.CheckRows()
        self.table: Mapping[str, CommandHandler] = {}

    # -- alerts -------------------------------------------------------------------------------------------------------

    async def alerts_post(self, args: Args, actor: Actor) -> Any:
        alerts = alerts_from_command(args["alerts"])
        await self._core.dispatcher.post(alerts, actor)
        return {"accepted": len(alerts)}

    async def alerts_groups(self, _args: Args, _actor: Actor) -> Any:
        return await self._core.dispatcher.groups()

    # -- checks -------------------------------------------------------------------------------------------------------

    async def check_add(self, args: Args, actor: Actor) -> Any:
        """{url} or a check as it would stand in the file, {type, name, settings, ...} -> its spec."""
        raw = {key: value for key, value in args.items() if value is not None}
        try:
            if set(raw) <= {"url", "name"}:
                spec = spec_for_url(str(raw.get("url", "")), name=str(raw.get("name", "")))
                raw = {"name": spec.name, "type": spec.type, "settings": dict(spec.settings)}
            else:
                spec = parse_check(raw, source="ui")
        except ValidationError as error:
            details = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}".lstrip(": ") for e in error.errors(include_url=False)
            )
            raise CommandError(422, "invalid_check", details) from None
        if any(known.id == spec.id for known in self._configuration.config.checks):
            raise CommandError(409, "exists", f"there is a check {spec.id!r} already")
        await self._configuration.add_check(raw, spec, actor)
        return {"id": spec.id}

    async def check_remove(self, args: Args, actor: Actor) -> Any:
        if args.get("seen"):
            self._known_check(args)
        if not await self._configuration.remove_check(str(args["id"]), actor):
            raise CommandError(
                404, "not_found", "only checks that were added in the dashboard can be removed there; edit the file"
            )
        return {}

    async def check_run(self, args: Args, actor: Actor) -> Any:
        """Run a check now, wherever it belongs; the result is logged with the person's name."""
        return result_to_json(await self._core.desk.run(str(args["id"]), actor.name))

    async def check_begin(self, args: Args, actor: Actor) -> Any:
        """As check_run, but answers at once: {run_id}, to be followed."""
        return {"run_id": self._core.desk.begin(str(args["id"]), actor.name)}

    async def check_follow(self, args: Args, _actor: Actor) -> Any:
        """{run_id, seen} -> {location, doing, phases, seen, result: null while it goes on}, once there is more than `seen`."""
        told = await self._core.desk.follow(str(args["run_id"]), int(args["seen"]))
        result = told["result"]
        return {**told, "result": result_to_json(result) if result is not None else None}

    async def check_pause(self, args: Args, actor: Actor) -> Any:
        await self._core.receiver.pause(self._known_check(args), by=actor.name)
        self._core.replan()
        return {}

    async def check_resume(self, args: Args, actor: Actor) -> Any:
        await self._core.receiver.resume(self._known_check(args))
        self._core.replan()
        return {}

    def _known_check(self, args: Args) -> str:
        """Its id, if it is as the person saw it. What moves it follows on this loop without a wait: nothing comes between."""
        check_id = str(args["id"])
        spec = next((spec for spec in self._configuration.config.checks if spec.id == check_id), None)
        if spec is None:
            raise CommandError(404, "unknown_check", f"there is no check {check_id!r}")
        if seen := args.get("seen"):
            [row] = status.check_rows([spec], self._core.receiver.statuses())
            hold(seen, check_mark(row))
        return check_id

    async def check_list(self, _args: Args, _actor: Actor) -> Any:
        return self._check_rows.of(self._configuration.config.checks, self._core.receiver.statuses())

    async def check_set(self, args: Args, actor: Actor) -> Any:
        """A person says how a manual check is: {id, state: up | degraded | down, message}."""
        try:
            state = CheckState(str(args["state"]))
        except ValueError:
            raise CommandError(422, "bad_state", "expected the state up, degraded or down") from None
        await self._core.receiver.set_manual(self._known_check(args), state, str(args.get("message", "")), by=actor.name)
        return {}

    async def heartbeat_url(self, args: Args, actor: Actor) -> Any:
        """The address that a heartbeat's sender calls; a secret, so only for the console and administrators."""
        token = self._core.receiver.tokens().get(self._known_check(args))
        if token is None or actor.kind not in ("cli", "system"):
            raise CommandError(404, "no_heartbeat", f"{args['id']!r} is not a heartbeat")
        return {"url": f"{self._configuration.config.external_url}/hb/{token}"}

    async def heartbeat_ping(self, args: Args, _actor: Actor) -> Any:
        return await self._core.receiver.ping(str(args["token"]), str(args.get("kind", "success")), str(args.get("body", "")))

    # -- probes -------------------------------------------------------------------------------------------------------

    async def probe_plan(self, args: Args, _actor: Actor) -> Any:
        return await self._core.desk.plan(str(args["location"]), int(args["version"]))

    async def probe_report(self, args: Args, _actor: Actor) -> Any:
        results = [result_of(raw) for raw in args["results"]]
        await self._core.receiver.take(results, _report_id(args))
        for result in results:
            self._core.desk.finished(result)
        return {}

    async def probe_progress(self, args: Args, _actor: Actor) -> Any:
        self._core.desk.progress(str(args["location"]), str(args["run_id"]), str(args["doing"]), args["phases"])
        return {}

    # -- configuration and state --------------------------------------------------------------------------------------

    async def config_reload(self, _args: Args, actor: Actor) -> Any:
        problems = await self._configuration.reload(actor)
        return {"ok": not problems, "problems": [status.problem_row(problem) for problem in problems]}

    async def config_state(self, _args: Args, _actor: Actor) -> Any:
        places = [f"{url}/api/v2/alerts" for url in self._core.forwarder.states]
        return {**status.config_state(self._configuration), "alertmanagers": places}

    async def config_preview(self, args: Args, _actor: Actor) -> Any:
        """{text} -> what would be understood of it."""
        return await asyncio.to_thread(preview, str(args["text"]))

    async def rules_state(self, _args: Args, _actor: Actor) -> Any:
        return {"groups": self._core.evaluator.state()["groups"]}

    async def targets_state(self, _args: Args, _actor: Actor) -> Any:
        return self._core.scraper.targets()

    async def oncall_state(self, _args: Args, _actor: Actor) -> Any:
        now_ms = self._core.clock.now_ms()
        return await self._core.db.read(lambda connection: duty(self._core.escalator.directory_at(connection, now_ms), now_ms))

    async def schedule_query(self, args: Args, _actor: Actor) -> Any:
        """A question about a schedule, overrides of the dashboard included."""
        now_ms = self._core.clock.now_ms()
        from_ms = since_ms(args, now_ms)
        directory = await self._core.db.read(lambda connection: self._core.escalator.directory_at(connection, from_ms))
        return await asyncio.to_thread(schedule_query, directory, args, now_ms)

    async def override_add(self, args: Args, actor: Actor) -> Any:
        """Somebody else is on call for a while."""
        now_ms, directory = self._core.clock.now_ms(), self._configuration.config.directory
        made = await self._core.db.write(lambda tx: overrides.add(tx, args, directory, actor, now_ms))
        self._duty_changed()
        return made

    async def override_remove(self, args: Args, actor: Actor) -> Any:
        now_ms = self._core.clock.now_ms()
        await self._core.db.write(lambda tx: overrides.remove(tx, str(args["id"]), actor, now_ms))
        self._duty_changed()
        return {}

    def _duty_changed(self) -> None:
        self._core.routine.wake()
        self._core.changes("oncall")
        self._core.changes("incidents")  # who is paged next is another

    async def process_metrics(self, args: Args, _actor: Actor) -> Any:
        """A process reports its own metrics."""
        families = [
            Family(
                raw["name"],
                raw["kind"],
                raw["help"],
                tuple(Sample(n, tuple(map(tuple, pairs)), v) for n, pairs, v in raw["samples"]),
            )
            for raw in args["families"]
        ]
        name = str(args["process"])
        self._processes[name] = {
            "name": name,
            "pid": int(args["pid"]),
            "restarts": int(args["restarts"]),
            "started_ms": int(args.get("started_ms", 0)),
            "heard_ms": self._core.clock.now_ms(),
            "families": families,
        }
        self._core.own.take(name, families)
        return {}

    async def process_exposition(self, _args: Args, _actor: Actor) -> Any:
        """The metrics of every process in the text format, told apart by the label `process`."""
        reported = {name: row["families"] for name, row in self._processes.items()}
        return write_text(merged({"core": REGISTRY.collect(), **reported})).decode()

    async def status(self, _args: Args, _actor: Actor) -> Any:
        return await status.status(self._core, self._configuration, self._processes)

    async def status_brief(self, _args: Args, _actor: Actor) -> Any:
        return status.brief(self._core)

    async def coverage(self, _args: Args, _actor: Actor) -> Any:
        return await coverage(self._core, self._configuration.config)

    async def query(self, args: Args, _actor: Actor) -> Any:
        """A PromQL expression at one instant, for the command line."""
        t_ms = int(args.get("t_ms", 0)) or self._core.clock.now_ms()
        result = await asyncio.to_thread(self._core.engine.instant, str(args["query"]), t_ms)
        rows = []
        if result.type is ValueType.VECTOR and result.vector is not None:
            vector = result.vector
            rows = [
                {"series": str(labels), "value": float(value)} for labels, value in zip(vector.labels, vector.values, strict=True)
            ]
        elif result.type is ValueType.SCALAR:
            rows = [{"series": "scalar", "value": result.scalar}]
        elif result.type is ValueType.STRING:
            rows = [{"series": "string", "value": result.text}]
        elif result.raw is not None:
            rows = [{"series": str(series.labels), "value": f"{len(series.values)} samples"} for series in result.raw]
        return {"rows": rows, "warnings": [*result.annotations.warnings, *result.annotations.infos]}

    # -- notifications, sign-in ---------------------------------------------------------------------------------------

    async def notification_test(self, args: Args, actor: Actor) -> Any:
        """{name, contact?} of a user or receiver -> the messages with what became of them, after some seconds at most."""
        name = str(args.get("name") or args.get("user") or args.get("receiver") or "")
        directory = self._configuration.config.directory
        is_person = name in directory.persons
        if not is_person and name not in directory.receivers:
            raise CommandError(404, "nothing_to_test", f"there is no user or receiver {name!r}; {who_can_be_told(directory)}")
        who = {"person": name} if is_person else {"receiver": name}
        ids = await self._core.deliverer.test(**who, contact=str(args.get("contact", "")), actor=actor)
        return await self._outcomes(ids)

    async def _outcomes(self, ids: list[str]) -> list[dict[str, Any]]:
        deadline_s = self._core.clock.monotonic_s() + _TEST_WAIT_S
        while True:
            rows = [await self._core.db.read(lambda tx, id_=id_: notification_row(tx, id_)) for id_ in ids]  # type: ignore[misc]
            found = [row for row in rows if row is not None]
            waiting = any(row["state"] == "sending" or (row["state"] == "pending" and not row["attempts"]) for row in found)
            if not waiting or self._core.clock.monotonic_s() > deadline_s:
                return found
            await asyncio.sleep(0.2)

    async def drill_start(self, _args: Args, actor: Actor) -> Any:
        """A drill through every way now -> the messages with what became of them, after some seconds at most."""
        return await self._outcomes(await self._core.routine.drill_now(f"Drill asked for by {actor.name}"))

    async def notification_retry(self, args: Args, _actor: Actor) -> Any:
        return {"id": await self._core.deliverer.retry(str(args["id"]))}

    async def signin_link(self, args: Args, actor: Actor) -> Any:
        """A one-time link for an account; made for the person at the console."""
        if actor.kind not in ("cli", "system"):
            raise CommandError(403, "forbidden", "sign-in links are made at the console: tocsin signin NAME")
        account = str(args.get("account", "admin"))
        prefix = self._configuration.config.web.route_prefix
        made = await self.table["token.create"](
            {"kind": "signin", "name": "sign-in link", "role": "admin", "account": account}, actor
        )
        return {"url": f"http://{self._settings.reachable}{prefix}/signin?t={made['token']}", "expires_ms": made["expires_ms"]}
