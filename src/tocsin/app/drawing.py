"""Draws the charts of messages in the core: joins the notification with the engine. Runs in the pictures' thread."""

from __future__ import annotations

from collections.abc import Callable

from tocsin.model.notification import Notification
from tocsin.model.ports import Queryable
from tocsin.notify.pictures import expression_of
from tocsin.web.charts import Evidence, picture


def drawer(queryable: Queryable) -> Callable[[Notification], bytes]:
    """`draw(note)`: the chart as of the moment at which the message was decided."""

    def draw(note: Notification) -> bytes:
        incident, alerts = note.payload.get("incident", {}), note.payload.get("alerts", ())
        shown = [(expression, a["labels"]) for a in alerts if (expression := expression_of(str(a.get("generator_url", ""))))]
        found = Evidence(str(incident.get("title", "")), int(incident.get("created_ms", note.created_ms)), shown)
        return picture(queryable, found, note.created_ms) if shown else b""

    return draw
