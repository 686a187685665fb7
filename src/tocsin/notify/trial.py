"""A message sent by hand to see whether a way works."""

from __future__ import annotations

from tocsin.model.event import Actor
from tocsin.model.notification import Notification, NotificationKind
from tocsin.notify.channel import Channel
from tocsin.notify.retry import PERSON_TTL_MS


def note(id_: str, ref: str, channel: Channel | str, name: str, actor: Actor, now_ms: int) -> Notification:
    """The test message to the settings reference `ref` of the person or receiver `name`; `channel` may be why there is none."""
    return Notification(
        id=id_,
        incident=0,
        kind=NotificationKind.TEST,
        channel=channel.type if isinstance(channel, Channel) else ref.split("/")[-2],
        address=ref.partition(":")[2],
        recipient=name,
        due_at_ms=now_ms,
        created_ms=now_ms,
        expires_ms=now_ms + PERSON_TTL_MS[NotificationKind.TEST],
        reason=f"Test asked for by {actor.name}",
        dedup_key=f"test/{id_}",
        settings_ref=ref,
        payload={},
        order_key=f"test/{ref}",
    )
