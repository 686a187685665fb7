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
from tocsin.config.config import Config, with_checks
from tocsin.config.declared import declared_windows, with_maintenance
from tocsin.config.schema import StatusPage
from tocsin.errors import CommandError
from tocsin.incidents.publish import COMPONENT_STATES
from tocsin.model.event import Actor
from tocsin.model.route import MaintenanceWindow
from tocsin.rules.derived import alert_labels
from tocsin.state.schema import declared_checks

_AHEAD_MS = 14 * 86_400_000


def pages_of(config: Config, now_ms: int) -> dict[str, dict[str, Any]]:
    """{slug: {title, mails, webhooks, components: [{name, checks}], maintenance: [{text, components, times}]}}

    `times` are [[start_ms, end_ms]]. Maintenance are the windows whose matchers cover the alert of a component's check, now or
    within two weeks.
    """
    labels = {spec.id: {**config.external_labels, **alert_labels(spec)} for spec in config.checks}
    return {
        page.slug: {
            **page.model_dump(exclude={"slug", "webhooks"}),
            "mails": can_be_mailed(config),
            "webhooks": bool(page.webhooks),
            "maintenance": [
                row for window in config.routing.maintenance if (row := _maintenance(window, page, labels, now_ms)) is not None
            ],
        }
        for page in config.status_pages
    }


def with_added(config: Config, tx: Connection) -> Config:
    """The files with the checks and the planned work of the dashboard; what is not valid any more is left out."""
    specs = []
    for raw in tx.execute(sa.select(declared_checks.c.spec)).scalars():
        with contextlib.suppress(ValidationError):
            specs.append(parse_check(raw, source="ui"))
    return with_maintenance(with_checks(config, specs), declared_windows(tx))


def published_on(config: Callable[[], Config], publish: CommandHandler) -> CommandHandler:
    """`incident.publish` for pages that exist; of a single page the name may be left out."""

    async def run(args: Args, actor: Actor) -> Any:
        page = page_named(config(), str(args.get("page") or ""))
        said = checked_components(page, args.get("components"))
        return await publish({**args, "page": page.slug, "page_title": page.title, "components": said}, actor)

    return run


def page_named(config: Config, slug: str) -> StatusPage:
    """The page; of a single one the name may be left out. Raises CommandError 422."""
    pages = {page.slug: page for page in config.status_pages}
    if not slug and len(pages) == 1:
        return next(iter(pages.values()))
    if slug not in pages:
        known = ", ".join(pages) or "none: declare one under `status_pages`"
        raise CommandError(422, "no_such_page", f"page: there is no status page {slug!r}; there are: {known}")
    return pages[slug]


def checked_components(page: StatusPage, said: Any) -> dict[str, str]:
    """{component: state} as an update may say it. Raises CommandError 422 for what the page does not have."""
    names = [item.name for item in page.components]
    for name, state in (said or {}).items():
        if name not in names:
            raise CommandError(422, "bad_component", f"components: the page has no {name!r}; there are: {', '.join(names)}")
        if state not in COMPONENT_STATES:
            raise CommandError(422, "bad_component", f"components.{name}: expected one of {', '.join(COMPONENT_STATES)}")
    return dict(said or {})


def can_be_mailed(config: Config) -> bool:
    """Whether visitors may ask for mails: somebody has said how mail leaves (`channels: email:`)."""
    return bool(config.channels.defaults.get("email"))


def _maintenance(
    window: MaintenanceWindow, page: StatusPage, labels: Mapping[str, Mapping[str, str]], now_ms: int
) -> dict[str, Any] | None:
    names = [item.name for item in page.components if _covers(window, (labels[c] for c in item.checks if c in labels))]
    times = window.occurrences.between(now_ms, now_ms + _AHEAD_MS) if names else []
    return {"text": window.public, "components": names, "times": [list(time) for time in times]} if times else None


def _covers(window: MaintenanceWindow, alerts: Iterable[Mapping[str, str]]) -> bool:
    return any(all(matcher.matches(alert) for matcher in window.matchers) for alert in alerts)
