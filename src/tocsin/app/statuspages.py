"""Public status pages as the web process and the static export need them: what is mapped, and planned work on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from tocsin.bus.wire import Args, CommandHandler
from tocsin.collect.catalog import parse_check
from tocsin.config.load import Config, with_checks
from tocsin.config.schema import StatusPage
from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.model.route import MaintenanceWindow
from tocsin.rules.derived import alert_labels
from tocsin.state.schema import declared_checks

_AHEAD_MS = 14 * 86_400_000


def pages_of(config: Config, now_ms: int) -> dict[str, dict[str, Any]]:
    """{slug: {title, components: [{name, checks}], maintenance: [{text, components: [name], times: [[start_ms, end_ms]]}]}}

    Maintenance are the windows whose matchers cover the alert of a component's check, now or within two weeks.
    """
    labels = {spec.id: {**config.external_labels, **alert_labels(spec)} for spec in config.checks}
    return {
        page.slug: {
            **page.model_dump(exclude={"slug"}),
            "maintenance": [
                row for window in config.routing.maintenance if (row := _maintenance(window, page, labels, now_ms)) is not None
            ],
        }
        for page in config.status_pages
    }


def with_added_checks(config: Config, tx: Connection) -> Config:
    """The files with the checks that people added in the dashboard; one that is not valid any more is left out."""
    specs = []
    for raw in tx.execute(sa.select(declared_checks.c.spec)).scalars():
        with contextlib.suppress(ValidationError):
            specs.append(parse_check(raw, source="ui"))
    return with_checks(config, specs)


def published_on(config: Callable[[], Config], publish: CommandHandler) -> CommandHandler:
    """`incident.publish` for pages that exist; of a single page the name may be left out."""

    async def run(args: Args, actor: Actor) -> Any:
        slugs = [page.slug for page in config().status_pages]
        page = args.get("page") or (slugs[0] if len(slugs) == 1 else "")
        if page not in slugs:
            known = ", ".join(slugs) or "none: declare one under `status_pages`"
            raise CommandError(422, "no_such_page", f"page: there is no status page {page!r}; there are: {known}")
        return await publish({**args, "page": page}, actor)

    return run


def _maintenance(
    window: MaintenanceWindow, page: StatusPage, labels: Mapping[str, Mapping[str, str]], now_ms: int
) -> dict[str, Any] | None:
    names = [item.name for item in page.components if _covers(window, (labels[c] for c in item.checks if c in labels))]
    times = window.occurrences.between(now_ms, now_ms + _AHEAD_MS) if names else []
    return {"text": window.public, "components": names, "times": [list(time) for time in times]} if times else None


def _covers(window: MaintenanceWindow, alerts: Iterable[Mapping[str, str]]) -> bool:
    return any(all(matcher.matches(alert) for matcher in window.matchers) for alert in alerts)
