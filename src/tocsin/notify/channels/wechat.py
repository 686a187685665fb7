"""WeChat Work: an application's message to members, departments or tags of a company."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from pydantic import PrivateAttr, SecretStr

from tocsin.model.notification import Delivery, Message
from tocsin.model.ports import HttpError
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.compatible import Compatible, cut_bytes
from tocsin.notify.respond import from_error, json_of, judged, post_json

_MOST_BYTES = {"text": 2048, "markdown": 4096}
_BAD_TOKEN = {40014, 42001, 42007, 42009}
_BUSY = {-1, 45009, 45011, 45033}
"""System busy; called too often."""


@channel("wechat")
class WeChat(Compatible):
    """Posts through an application of WeChat Work."""

    address_field: ClassVar[str] = "to_user"
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=10, parallel=1)
    templated: ClassVar[tuple[str, ...]] = ("corp_id", "message", "to_user", "to_party", "to_tag", "agent_id")

    api_secret: SecretStr
    corp_id: str
    api_url: str = "https://qyapi.weixin.qq.com/cgi-bin/"
    message: str = '{{ template "wechat.default.message" . }}'
    message_type: Literal["text", "markdown"] = "text"
    to_user: str = '{{ template "wechat.default.to_user" . }}'
    to_party: str = '{{ template "wechat.default.to_party" . }}'
    to_tag: str = '{{ template "wechat.default.to_tag" . }}'
    agent_id: str = '{{ template "wechat.default.agent_id" . }}'
    _token: dict[str, tuple[int, str]] = PrivateAttr(default_factory=dict)

    def lane(self) -> str:
        return f"wechat {fold(self.api_secret.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        body = self.body(message)
        for attempt in (1, 2):
            token = await self._access_token(message, io)
            if isinstance(token, Delivery):
                return token
            url = f"{self._base}message/send?{urlencode({'access_token': token})}"
            response = await post_json(io.http, url, body, headers={"Content-Type": "application/json"})
            if isinstance(response, Delivery):
                return response
            answer = json_of(response)
            code = answer.get("errcode")
            if response.status != 200 or not isinstance(code, int):
                return judged(response, io.now_ms, "WeChat")
            if code in _BAD_TOKEN and attempt == 1:
                self._token.clear()
                continue
            return _told(code, str(answer.get("errmsg", "")), str(answer.get("msgid", "")))
        raise AssertionError("the second attempt always answers")

    async def _access_token(self, message: Message, io: Io) -> str | Delivery:
        """The token of the application; it holds for two hours, and one is kept for that long."""
        until_ms, kept = self._token.get("token", (0, ""))
        if io.now_ms < until_ms:
            return kept
        asked = {"corpid": self.words(message).value(self.corp_id), "corpsecret": self.api_secret.get_secret_value()}
        try:
            response = await io.http.request("GET", f"{self._base}gettoken?{urlencode(asked)}")
        except HttpError as error:
            # Nothing was told yet, wherever the answer was lost.
            return Delivery.retry(from_error(error).reason)
        answer = json_of(response)
        token = str(answer.get("access_token") or "")
        if response.status == 200 and token:
            self._token["token"] = (io.now_ms + 1000 * min(max(int(answer.get("expires_in", 7200)) - 60, 60), 7200), token)
            return token
        if response.status == 200 and isinstance(answer.get("errcode"), int):
            return _told(answer["errcode"] or 40001, f"no access token: {answer.get('errmsg', '')}", "")
        return judged(response, io.now_ms, "WeChat")

    @property
    def _base(self) -> str:
        return self.api_url if self.api_url.endswith("/") else self.api_url + "/"

    def body(self, message: Message) -> dict[str, Any]:
        """The message, within WeChat's limits."""
        words = self.words(message)
        content = {"content": cut_bytes(words.body(self.message), _MOST_BYTES[self.message_type])}
        nothing = {"content": ""}
        out: dict[str, Any] = {
            "text": content if self.message_type == "text" else nothing,
            "markdown": content if self.message_type == "markdown" else nothing,
            "msgtype": self.message_type,
            "safe": "0",
        }
        addressed = {"touser": self.to_user, "toparty": self.to_party, "totag": self.to_tag, "agentid": self.agent_id}
        return out | {key: value for key, template in addressed.items() if (value := words.value(template))}


def _told(code: int, text: str, name: str) -> Delivery:
    if code == 0:
        return Delivery.accepted(name, status=200, delivered=True)
    reason = f"WeChat: {code} {text}"
    return Delivery.retry(reason, status=200) if code in _BUSY | _BAD_TOKEN else Delivery.permanent(reason, status=200)
