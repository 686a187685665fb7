"""Telegram by long polling: an acknowledgement needs no public address, Tocsin fetches it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from tocsin.clock import Clock
from tocsin.errors import CommandError
from tocsin.log import get_log
from tocsin.model.event import Actor
from tocsin.model.ports import Http, HttpError
from tocsin.notify.answers import ANSWERS, VERDICTS
from tocsin.notify.channel import Channel
from tocsin.notify.channels.telegram import Telegram
from tocsin.notify.inbound import telegram_person, telegram_press
from tocsin.notify.respond import json_of
from tocsin.notify.settings import ChannelSettings

log = get_log("notify.telegram")

_POLL_S = 25
_SAID = {
    "acknowledge": "Incident #{number} is yours.",
    "escalate": "Incident #{number} goes to the next ones.",
    "resolve": "Incident #{number} is resolved.",
    "silence": "Silenced for 1 hour.",
    **dict.fromkeys(VERDICTS, "Noted, thank you."),
}
_IDLE_MS, _AFTER_ERROR_MS = 30_000, 15_000
RunCommand = Callable[[str, Mapping[str, Any], Actor], Awaitable[Any]]


class TelegramPoller:
    """Fetches button presses of every configured bot. `run()` belongs to one task."""

    def __init__(self, *, clock: Clock, http: Http, command: RunCommand, settings: ChannelSettings | None = None) -> None:
        self._clock = clock
        self._http = http
        self._command = command
        self._settings = settings or ChannelSettings()
        self._offsets: dict[str, int] = {}

    def commanded_by(self, command: RunCommand) -> None:
        """Take another runner: the table of all commands is built last."""
        self._command = command

    def apply(self, settings: ChannelSettings) -> None:
        self._settings = settings

    async def run(self) -> None:
        """Poll for ever; with several bots one after the other."""
        while True:
            bots = self._bots()
            if not bots:
                await self._clock.sleep_until_ms(self._clock.now_ms() + _IDLE_MS)
            for bot in bots:
                if not await self._poll(bot, wait_s=_POLL_S if len(bots) == 1 else 3):
                    await self._clock.sleep_until_ms(self._clock.now_ms() + _AFTER_ERROR_MS)

    def _bots(self) -> list[Telegram]:
        found: dict[str, Telegram] = {}
        for ref in self._settings.references():
            try:
                channel: Channel = self._settings.channel(ref)
            except ValueError:
                continue
            if isinstance(channel, Telegram) and channel.buttons:
                found.setdefault(channel.bot_token.get_secret_value(), channel)
        return list(found.values())

    async def _poll(self, bot: Telegram, *, wait_s: int) -> bool:
        """One long poll; False when it failed. An update is confirmed by the next poll's offset, after it was obeyed."""
        token = bot.bot_token.get_secret_value()
        body = {"timeout": wait_s, "offset": self._offsets.get(token, 0), "allowed_updates": ["callback_query"]}
        answer = await self._call(bot, "getUpdates", body, timeout_s=wait_s + 10)
        updates = answer.get("result")
        if answer.get("ok") is not True or not isinstance(updates, list):
            return False
        for update in updates:
            if isinstance(update, dict):
                await self._obey(bot, update)
                self._offsets[token] = int(update.get("update_id", 0)) + 1
        return True

    async def _obey(self, bot: Telegram, update: Mapping[str, Any]) -> None:
        press = telegram_press(update)
        if press is None:
            return
        name = telegram_person(self._settings.persons, press.who)
        if not name:
            text = "Tocsin does not know who you are: ask an administrator to add your Telegram id to your contacts."
        else:
            command, more = ANSWERS[press.answer]
            try:
                await self._command(command, {"number": press.incident, **more}, Actor("user", name, "telegram"))
                text = _SAID[press.answer].format(number=press.incident)
            except CommandError as error:
                text = str(error)
        await self._call(bot, "answerCallbackQuery", {"callback_query_id": press.answer_id, "text": text[:200]}, timeout_s=10)

    async def _call(self, bot: Telegram, method: str, body: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        url = f"{bot.api_url}/bot{bot.bot_token.get_secret_value()}/{method}"
        headers = {"Content-Type": "application/json"}
        try:
            response = await self._http.request("POST", url, headers=headers, body=orjson.dumps(body), timeout_s=timeout_s)
        except HttpError as error:
            log.warning("cannot poll Telegram", method=method, error=str(error))
            return {}
        return json_of(response)
