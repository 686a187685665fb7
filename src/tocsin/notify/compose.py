"""What a row of the outbox becomes on its way out: its channel, how its request travels, its links and its chart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tocsin.clock import Clock
from tocsin.model.notification import Message, Notification
from tocsin.model.ports import Http, Smtp
from tocsin.notify import links, render
from tocsin.notify.channel import Channel, Io
from tocsin.notify.claim import Claimed
from tocsin.notify.client import ConfiguredHttp
from tocsin.notify.pictures import NO_PICTURE, Picture, Pictures, has_evidence
from tocsin.notify.settings import ChannelSettings


class Composer:
    """Keeps channels and their clients (tokens are kept with them) until other settings are applied."""

    def __init__(self, *, http: Http, smtp: Smtp, clock: Clock, settings: ChannelSettings, pictures: Pictures | None) -> None:
        self._http = http
        self._smtp = smtp
        self._clock = clock
        self._pictures = pictures
        self._channels: dict[str, Channel | str] = {}
        self._clients: dict[str, Http] = {}
        self.settings = settings
        self.key = b""
        """Signs the links of messages."""

    def apply(self, settings: ChannelSettings) -> None:
        self.settings = settings
        self._channels = {}
        self._clients = {}

    def channel(self, ref: str) -> Channel | str:
        """The channel behind a reference, or why there is none."""
        found = self._channels.get(ref)
        if found is None:
            try:
                found = self.settings.channel(ref)
            except ValueError as error:
                found = str(error)
            self._channels[ref] = found
        return found

    def used(self) -> Iterator[tuple[str, Channel]]:
        """Channels that were asked for, by reference. From any thread: the database's asks while the loop's adds."""
        return ((ref, channel) for ref, channel in list(self._channels.items()) if isinstance(channel, Channel))

    def message(self, channel: Channel | str, claimed: Claimed, refs: dict[str, Any]) -> tuple[Message, Io]:
        """`refs`: what the channel remembers of the incident; what it adds is to be kept."""
        note = claimed.note
        picture = NO_PICTURE if isinstance(channel, str) else self._picture(note)
        io = Io(
            http=self._client(note.settings_ref, channel) if isinstance(channel, Channel) else self._http,
            smtp=self._smtp,
            now_ms=self._clock.now_ms(),
            refs=refs,
            host=self.settings.host,
            picture=picture,
        )
        message = render.message(
            note,
            external_url=self.settings.external_url,
            ack_url=self._ack_url(note),
            chart_url=picture.url,
            possible_repeat=claimed.possible_repeat,
            visitor=self._visitor(note),
        )
        return message, io

    def _visitor(self, note: Notification) -> dict[str, str]:
        """The addresses in a message to a visitor of a status page: signed here, so that the outbox holds no link that acts."""
        told, address = note.payload.get("visitor"), note.settings_ref.removeprefix("visitor:")
        if not told:
            return {}
        urls = links.visitor_urls(self.settings.external_url, self.key, told, note.created_ms)
        if "://" in address:
            urls["secret"] = links.visitor_secret(self.key, urls["page"], int(told["subscriber"]), address)
        return urls

    def _picture(self, note: Notification) -> Picture:
        """The chart, begun to be drawn; none where no rule of ours looked at anything."""
        base = self.settings.external_url
        if self._pictures is None or not note.incident or not has_evidence(note, base):
            return NO_PICTURE
        return self._pictures.of(note, links.chart_url(base, self.key, incident=note.incident, at_ms=note.created_ms))

    def _ack_url(self, note: Notification) -> str:
        if not note.settings_ref.startswith("user:") or not note.incident or not self.settings.external_url:
            return ""
        return links.ack_url(
            self.settings.external_url,
            self.key,
            incident=note.incident,
            person=note.recipient,
            now_ms=note.created_ms,
        )

    def _client(self, ref: str, channel: Channel) -> Http:
        """How the channel's requests travel; kept, since tokens are."""
        if channel.http_config is None:
            return self._http
        if ref not in self._clients:
            self._clients[ref] = ConfiguredHttp(self._http, channel.http_config, now_ms=self._clock.now_ms)
        return self._clients[ref]
