"""Files added to a message that was sent already: Slack's upload in three steps, and multipart bodies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import urlencode

from tocsin.model.notification import Delivery
from tocsin.model.ports import Http, HttpError
from tocsin.notify.respond import json_of, post_json

_TIMEOUT_S = 20.0


async def slack_upload(http: Http, *, web_api: str, token: str, channel: str, thread: str, image: bytes, title: str) -> str:
    """Show an image in a thread; returns what went wrong, empty = done. Needs the scope files:write.

    Source: Slack, "Working with files": getUploadURLExternal, the bytes to that URL, completeUploadExternal.
    """
    login = {"Authorization": f"Bearer {token}"}
    form = urlencode({"filename": "chart.png", "length": len(image), "alt_txt": title[:1000]}).encode()
    headers = {**login, "Content-Type": "application/x-www-form-urlencoded"}
    try:
        begun = json_of(await http.request("POST", f"{web_api}/files.getUploadURLExternal", headers=headers, body=form))
        if begun.get("ok") is not True:
            return f"Slack: {begun.get('error', 'no answer that is understood')}"
        sent = await http.request(
            "POST", str(begun.get("upload_url")), headers={"Content-Type": "image/png"}, body=image, timeout_s=_TIMEOUT_S
        )
    except HttpError as error:
        return str(error)
    if sent.status != 200:
        return f"Slack took no file: HTTP {sent.status}"
    wanted = {"files": [{"id": begun.get("file_id"), "title": title[:200]}], "channel_id": channel, "thread_ts": thread}
    answer = await post_json(http, f"{web_api}/files.completeUploadExternal", wanted, headers=login)
    if isinstance(answer, Delivery):
        return answer.reason
    done = json_of(answer)
    return "" if done.get("ok") is True else f"Slack: {done.get('error', 'no answer that is understood')}"


def multipart(fields: Mapping[str, str], *, file_field: str, name: str, content: bytes, media_type: str) -> tuple[str, bytes]:
    """(Content-Type, body) of a form with one file. Names and values are ours; the boundary cannot occur in the content."""
    mark = "tocsin-" + hashlib.sha256(content).hexdigest()[:32]
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    shown = f'Content-Disposition: form-data; name="{file_field}"; filename="{name}"'
    head = f"--{mark}\r\n{shown}\r\nContent-Type: {media_type}\r\n\r\n".encode()
    return f"multipart/form-data; boundary={mark}", b"".join([*parts, head, content, f"\r\n--{mark}--\r\n".encode()])
