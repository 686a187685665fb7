"""Commands about status pages: `statuspage.publish | edit | withdraw`, and for visitors `subscribe | confirm | leave`.

An update of an incident goes through `incident.publish`, so that it stands in the incident's timeline; one of no incident is
written here. Either way the mails to visitors are put into the outbox in the transaction that publishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from tocsin.app.configuration import Configuration
from tocsin.app.statuspages import can_be_mailed, checked_components, page_named
from tocsin.bus.wire import Args, CommandHandler
from tocsin.config.channels import leads_inside
from tocsin.config.schema import StatusPage
from tocsin.errors import CommandError
from tocsin.incidents import publish, subscribers
from tocsin.model.event import Actor, deed
from tocsin.model.ports import Random
from tocsin.state import events

if TYPE_CHECKING:
    from tocsin.app.core import Core

_CHANGEABLE = ("state", "title", "text", "components")


class StatusPageCommands:
    def __init__(self, core: Core, configuration: Configuration, random: Random) -> None:
        self._core = core
        self._configuration = configuration
        self._random = random

    def table(self) -> Mapping[str, CommandHandler]:
        return {
            "statuspage.publish": self.publish,
            "statuspage.edit": self.edit,
            "statuspage.withdraw": self.withdraw,
            "statuspage.subscribe": self.subscribe,
            "statuspage.confirm": self.confirm,
            "statuspage.leave": self.leave,
        }

    async def publish(self, args: Args, actor: Actor) -> Any:
        """{page, story?, state, title, text, components?} -> {update}: news of something that no incident is about."""
        page = self._page(args)
        components = checked_components(page, args.get("components"))

        def work(tx: Connection, now_ms: int) -> Any:
            update, new = publish.publish(
                tx,
                incident=0,
                page=page.slug,
                state=str(args.get("state", "")),
                title=str(args.get("title", "")),
                text=str(args.get("text", "")),
                published_by=str(actor),
                now_ms=now_ms,
                story=int(args.get("story", 0)),
                components=components,
            )
            if new:
                shown = subscribers.Page(page.slug, page.title)
                told = subscribers.announce(tx, update, shown, random=self._random, now_ms=now_ms)
                text = f"{actor.name} published ({update.state}): {update.title}: {update.text}"
                _record(tx, actor, "published", f"status:{page.slug}", text, now_ms, update=update.id, mails=told)
            return {"update": update.id}

        return await self._done(work)

    async def edit(self, args: Args, actor: Actor) -> Any:
        """{page, update, version?, and what changes} -> {update}. Nobody is mailed: the page says when it was edited."""
        page = self._page(args)
        changes = {name: args[name] for name in _CHANGEABLE if args.get(name) is not None}
        if "components" in changes:
            changes["components"] = checked_components(page, changes["components"])

        def work(tx: Connection, now_ms: int) -> Any:
            number, version = int(args["update"]), args.get("version")
            before, after = publish.edit(
                tx, page=page.slug, update=number, changes=changes, version=version, now_ms=now_ms
            )  # fmt: skip
            if after != before:
                fields = [name for name in _CHANGEABLE if getattr(before, name) != getattr(after, name)]
                was = {name: getattr(before, name) for name in fields}
                text = f"{actor.name} edited public update {number}: {', '.join(fields)}"
                _record(tx, actor, "edited", _about(before, page.slug), text, now_ms, page=page.slug, update=number, before=was)
            return {"update": number}

        return await self._done(work)

    async def withdraw(self, args: Args, actor: Actor) -> Any:
        """{page, update, version?}: off the page and its feed. Raises CommandError 404, 412."""
        page, number = self._page(args), int(args["update"])

        def work(tx: Connection, now_ms: int) -> Any:
            gone, _ = publish.edit(
                tx, page=page.slug, update=number, changes={}, version=args.get("version"), now_ms=now_ms
            )  # fmt: skip
            publish.withdraw(tx, incident=0, page=page.slug, update=number, now_ms=now_ms)
            text = f"{actor.name} took public update {number} back"
            _record(tx, actor, "withdrawn", _about(gone, page.slug), text, now_ms, page=page.slug, update=number)
            return {"update": number}

        return await self._done(work)

    async def subscribe(self, args: Args, _actor: Actor) -> Any:
        """{page, address | webhook} -> {}, whoever it is; a message with a link is under way unless there were too many."""
        page = self._page(args)
        address, shown = str(args.get("address", "")), subscribers.Page(page.slug, page.title)
        if (url := args.get("webhook")) is not None:
            if not page.webhooks:
                raise CommandError(404, "no_webhooks", "this page has no webhooks")
            private, random = leads_inside(page.webhooks), self._random
            await self._done(
                lambda tx, now_ms: subscribers.subscribe_hook(tx, shown, str(url), private=private, random=random, now_ms=now_ms)
            )
            return {}
        if not can_be_mailed(self._configuration.config):
            raise CommandError(404, "no_mail", "this page sends no mails")
        await self._done(
            lambda tx, now_ms: subscribers.subscribe(tx, shown, address, random=self._random, now_ms=now_ms)
        )  # fmt: skip
        return {}

    async def confirm(self, args: Args, _actor: Actor) -> Any:
        """{page, subscriber} of a signed link -> {known}."""
        page, number = str(args["page"]), int(args["subscriber"])
        return {"known": await self._done(lambda tx, now_ms: subscribers.confirm(tx, page, number, now_ms))}

    async def leave(self, args: Args, _actor: Actor) -> Any:
        """{page, subscriber} of a signed link -> {}."""
        page, number = str(args["page"]), int(args["subscriber"])
        await self._done(lambda tx, now_ms: subscribers.leave(tx, page, number, now_ms))
        return {}

    def _page(self, args: Args) -> StatusPage:
        return page_named(self._configuration.config, str(args.get("page", "")))

    async def _done(self, work: Any) -> Any:
        """Write, then wake who has something to send."""
        now_ms = self._core.clock.now_ms()
        answer = await self._core.db.write(lambda tx: work(tx, now_ms))
        self._core.deliverer.wake()
        self._core.changes("notifications")
        self._core.changes("status")
        return answer


def _about(update: publish.Update, page: str) -> str:
    """An incident's update belongs to the incident's timeline."""
    return f"incident:{update.incident}" if update.incident else f"status:{page}"


def _record(tx: Connection, actor: Actor, verb: str, subject: str, text: str, now_ms: int, **data: Any) -> None:
    events.record(tx, deed(now_ms, actor, verb, subject, text[:500], **data))
