"""Everything that the library Apprise can reach: the long tail of services. It says only "sent" or "not sent": best effort."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Channel, Io, Rate, channel, fold
from tocsin.notify.render import headline, text_body

_THREADS = 4
_MISSING = "the channel apprise needs the library of that name: pip install 'tocsin[apprise]'"


@channel("apprise")
class Apprise(Channel):
    """Sends to Apprise URLs such as `matrix://...`. No ids, no receipts, no editing."""

    address_field: ClassVar[str] = "urls"
    url_field: ClassVar[str] = "urls"
    best_effort: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(per_s=1.0, burst=5, parallel=2)

    urls: tuple[SecretStr, ...] = Field(min_length=1)
    """One URL or several; each is told once. They go past `egress`: Apprise opens its own connections."""
    timeout_s: float = Field(default=20.0, gt=0, le=40)
    name: str = ""
    """Shown instead of the URLs, which hold secrets."""

    @field_validator("urls", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _known(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for n, url in enumerate(value):
            if not _library().Apprise().add(url.get_secret_value()):
                scheme = url.get_secret_value().partition(":")[0]
                raise ValueError(f"URL {n + 1} ({scheme[:20]}://...) is not one that apprise knows or can read")
        return value

    def lane(self) -> str:
        return f"apprise {self.name or fold(' '.join(url.get_secret_value() for url in self.urls))}"

    async def send(self, message: Message, io: Io) -> Delivery:
        """Each URL by itself, so that a repeat spares those that took it."""
        note_id = message.notification.id
        told = set(io.refs["told"].get(note_id, ())) if "told" in io.refs else set()
        worst: Delivery | None = None
        for n, url in enumerate(self.urls):
            if n in told:
                continue
            answer = await self._one(url.get_secret_value(), message)
            if answer is None:
                told.add(n)
            else:
                worst = answer
        io.refs["told"] = {note_id: sorted(told)}
        return worst or Delivery.accepted(reason="apprise: sent")

    async def _one(self, url: str, message: Message) -> Delivery | None:
        """None = sent. The library blocks, so it runs in threads of its own: what hangs there holds up nothing else."""
        work = functools.partial(_notify, url, headline(message), text_body(message), message.state, message.severity)
        running = _threads().submit(work)
        done, _ = await asyncio.wait([asyncio.wrap_future(running)], timeout=self.timeout_s)
        scheme = url.partition(":")[0]
        if not done:
            # A call that no thread had begun cannot have arrived.
            unsent = running.cancel()
            text = f"apprise {scheme}: no answer within {self.timeout_s:g} s"
            return Delivery.retry(text) if unsent else Delivery.unknown(text)
        if error := running.exception():
            return Delivery.retry(f"apprise {scheme}: {type(error).__name__}")
        return None if running.result() else Delivery.retry(f"apprise {scheme}: not sent (it does not say why)")


def _notify(url: str, title: str, body: str, state: str, severity: str) -> bool:
    library = _library()
    kinds = library.NotifyType
    kind = (
        kinds.SUCCESS if state == "resolved" else {"critical": kinds.FAILURE, "warning": kinds.WARNING}.get(severity, kinds.INFO)
    )
    sender = library.Apprise()
    sender.add(url)
    return bool(sender.notify(body=body, title=title, notify_type=kind, body_format=library.NotifyFormat.TEXT))


def _library() -> Any:
    """The module. Raises ValueError when the extra is not installed."""
    try:
        import apprise
    except ImportError:
        raise ValueError(_MISSING) from None
    return apprise


@functools.lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="apprise")
