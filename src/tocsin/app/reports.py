"""Commands about reports: `report.list | get | make`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tocsin.app.configuration import Configuration
from tocsin.bus.wire import Args, CommandHandler
from tocsin.config.config import Config
from tocsin.errors import CommandError
from tocsin.incidents.questions import instant
from tocsin.model.event import Actor
from tocsin.report.html import Page
from tocsin.report.plan import ReportSettings

if TYPE_CHECKING:
    from tocsin.app.core import Core

_WEEK_MS = 7 * 86_400_000


def report_settings(config: Config) -> ReportSettings:
    """The configuration as far as reports need it."""
    return ReportSettings(
        plans=config.reports,
        keep_ms=config.keep_reports_ms,
        kpis=config.kpis,
        slos=config.slos,
        zones={person.name: person.time_zone for person in config.directory.persons.values()},
        names={spec.id: spec.name for spec in config.checks},
        services={spec.id: spec.labels.get("service", "") for spec in config.checks},
    )


class ReportCommands:
    def __init__(self, core: Core, configuration: Configuration) -> None:
        self._core = core
        self._configuration = configuration

    def table(self) -> Mapping[str, CommandHandler]:
        return {"report.list": self.list, "report.get": self.get, "report.make": self.make}

    async def list(self, _args: Args, _actor: Actor) -> Any:
        return {"reports": await self._core.reporter.listed()}

    async def get(self, args: Args, _actor: Actor) -> Any:
        """{id, html?: whole | body} -> the report, and its HTML when asked for."""
        return self._with_html(await self._core.reporter.get(int(args["id"])), str(args.get("html", "")))

    async def make(self, args: Args, actor: Actor) -> Any:
        """{from?, until?, title?, keep?, html?}: the last seven days when left out."""
        now_ms = self._core.clock.now_ms()
        end_ms = instant(args, "until", now_ms)
        start_ms = instant(args, "from", end_ms - _WEEK_MS)
        title = str(args.get("title", ""))
        if len(title) > 200:
            raise CommandError(422, "bad_title", "title: at most 200 characters")
        made = await self._core.reporter.make(start_ms, end_ms, title=title, actor=actor, keep=bool(args.get("keep")))
        return self._with_html(made, str(args.get("html", "")))

    def _with_html(self, report: dict[str, Any], kind: str) -> dict[str, Any]:
        zone = next((plan.time_zone for plan in self._configuration.config.reports if plan.name == report.get("name")), "UTC")
        if kind == "whole":
            return {**report, "html": Page(styled=True, time_zone=zone).whole(report)}
        if kind == "body":
            return {**report, "html": Page(styled=False, time_zone=zone).body(report)}
        return report
