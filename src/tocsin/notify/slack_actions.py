"""Buttons pressed in Slack, whether they came by a signed callback or over Socket Mode: obeyed, and answered to who pressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tocsin.log import get_log
from tocsin.model.ports import Http, HttpError
from tocsin.notify.answers import ANSWERS, Answers, number_of

log = get_log("notify.slack")

_REPLY_TIMEOUT_S = 5.0
_DONE = {"silence": "Silenced for 1 hour.", "real": "Noted: real.", "noise": "Noted: noise.", "duplicate": "Noted: duplicate."}
"""What the message itself does not show soon enough."""


class SlackActions:
    """Takes the payload of `block_actions`."""

    def __init__(self, *, answers: Answers, http: Http) -> None:
        self._answers = answers
        self._http = http

    async def obey(self, payload: Mapping[str, Any], address: str = "") -> str:
        """Do what was pressed; returns what the person was told, by an ephemeral message where Slack gave a way."""
        if payload.get("type") != "block_actions":
            return ""
        user = payload.get("user")
        user_id = str(user.get("id", "")) if isinstance(user, dict) else ""
        person = self._answers.person("slack", lambda method: bool(user_id) and method.settings.get("user_id") == user_id)
        said = []
        for action in payload.get("actions") or ():
            name = str(action.get("action_id", ""))
            number = number_of(action.get("value", ""))
            if name in ANSWERS and number is not None:
                said.append(await self._answers.do(person, name, number, "slack", address) or _DONE.get(name, ""))
        text = " ".join(part for part in said if part)
        if text:
            await self._tell(str(payload.get("response_url", "")), text)
        return text

    async def _tell(self, url: str, text: str) -> None:
        """Slack shows no answer to a press but what is sent to its `response_url`. A lost one is no harm."""
        if not url:
            return
        body = orjson.dumps({"response_type": "ephemeral", "replace_original": False, "text": text})
        try:
            await self._http.request(
                "POST", url, headers={"Content-Type": "application/json"}, body=body, timeout_s=_REPLY_TIMEOUT_S
            )
        except HttpError as error:
            log.warning("could not tell who pressed a button in Slack", error=str(error))
