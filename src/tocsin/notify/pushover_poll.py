"""Pushover's receipts: who answers an emergency in the app has acknowledged, and no public address is needed to know it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.clock import Clock
from tocsin.errors import CommandError
from tocsin.log import get_log
from tocsin.model.event import Actor
from tocsin.model.incident import IncidentState
from tocsin.model.notification import NotificationKind, NotificationState
from tocsin.model.ports import Http, HttpError
from tocsin.notify.answers import Command
from tocsin.notify.channels.pushover import EXPIRE_S, Pushover
from tocsin.notify.inbound import Report
from tocsin.notify.respond import json_of
from tocsin.notify.settings import ChannelSettings
from tocsin.state.schema import channel_refs, incidents, notifications
from tocsin.state.sql import Database

log = get_log("notify.pushover")

_IDLE_MS, _POLL_MS = 20_000, 10_000
"""Pushover wants at most one question per receipt in five seconds."""
_MOST = 50


class ReceiptPoller:
    """Asks for the receipts of pages that still ring. `run()` belongs to one task."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        http: Http,
        command: Command,
        report: Callable[[Report], Awaitable[bool]],
        settings: ChannelSettings | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._http = http
        self._command = command
        self._report = report
        self._settings = settings or ChannelSettings()

    def apply(self, settings: ChannelSettings) -> None:
        self._settings = settings

    async def run(self) -> None:
        while True:
            ringing = await self._db.read(self._ringing) if self._used() else []
            for row in ringing:
                await self._ask(row)
            await self._clock.sleep_until_ms(self._clock.now_ms() + (_POLL_MS if ringing else _IDLE_MS))

    def _used(self) -> bool:
        return any(method.channel == "pushover" for person in self._settings.persons.values() for method in person.methods)

    def _ringing(self, tx: Connection) -> list[Any]:
        """Pages with a receipt whose incident nobody has taken, of people."""
        n, r = notifications.c, channel_refs.c
        query = (
            sa.select(n.incident, n.recipient, n.settings_ref, n.provider_id, r.data)
            .join(channel_refs, sa.and_(r.incident == n.incident, r.order_key == n.order_key))
            .join(incidents, incidents.c.number == n.incident)
            .where(
                n.created_ms > self._clock.now_ms() - EXPIRE_S * 1000,
                n.channel == "pushover",
                n.kind == NotificationKind.PAGE.value,
                n.state == NotificationState.ACCEPTED.value,
                n.settings_ref.like("user:%"),
                incidents.c.state == IncidentState.TRIGGERED.value,
            )
            .limit(_MOST)
        )
        return [row for row in tx.execute(query) if row.data.get("receipt") == row.provider_id]

    async def _ask(self, row: Any) -> None:
        try:
            channel = self._settings.channel(row.settings_ref)
            assert isinstance(channel, Pushover)
            answer = json_of(await self._http.request("GET", channel.receipt_url(row.provider_id)))
        except (ValueError, HttpError) as error:
            log.warning("cannot ask for a receipt", error=str(error))
            return
        if answer.get("status") != 1 or answer.get("acknowledged") != 1:
            return
        try:
            await self._command("incident.acknowledge", {"number": row.incident}, Actor("user", row.recipient, "pushover"))
        except CommandError as error:
            log.info("an answer in Pushover has no effect", incident=row.incident, reason=str(error))
        await self._report(Report(row.provider_id, NotificationState.READ, "Pushover: acknowledged"))
