"""Tables of what happens by the calendar and by people's own doing; schema.py has them all."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Integer, String, Table

from tocsin.state.columns import ID, metadata, ms, text

# Contact methods that people added themselves, and of those in the file that ask for it whether the code was entered.
contacts = Table(
    "contacts",
    metadata,
    Column("person", String(255), primary_key=True),
    Column("id", String(255), primary_key=True),
    Column("source", String(16), nullable=False, server_default="added"),
    text("channel"),
    text("address"),
    ms("verified_ms"),
    text("code_hash"),
    ms("code_expires_ms"),
    Column("code_tries", Integer, nullable=False, server_default="0"),
    Column("codes_sent", JSON, nullable=False),
    text("created_by"),
    ms("created_ms"),
)

# Quiet hours that people set themselves; those of the file are not here, and win. `days`: 0 = Monday, empty = every day.
quiet_hours = Table(
    "quiet_hours",
    metadata,
    Column("person", String(255), primary_key=True),
    Column("start_minute", Integer, nullable=False),
    Column("end_minute", Integer, nullable=False),
    Column("days", JSON, nullable=False),
    text("time_zone"),
    Column("allow", JSON, nullable=False),
    text("updated_by"),
    ms("updated_ms"),
)

# Calendar addresses that need no sign-in; only the SHA-256 of the token is kept.
feeds = Table(
    "feeds",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    text("schedule"),
    text("person"),
    text("created_by"),
    ms("created_ms"),
    ms("used_ms"),
    ms("revoked_ms"),
)

# The nightly proof of every channel: the last time that each way out was tried, and that it worked.
drills = Table(
    "drills",
    metadata,
    Column("lane", String(255), primary_key=True),
    text("channel"),
    text("settings_ref"),
    text("notification"),
    ms("started_ms"),
    text("state"),
    text("reason"),
    ms("proven_ms"),
)

# Reports as they were when they were made: `data` is what `tocsin report --format json` prints.
reports = Table(
    "reports",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),
    ms("start_ms"),
    ms("end_ms", index=True),
    ms("created_ms"),
    text("created_by"),
    Column("data", JSON, nullable=False),
)

# What a message said when it last left, as text: secrets and links that act are masked. Kept for a while (notify/spoken.py).
notification_texts = Table(
    "notification_texts",
    metadata,
    Column("notification", String(32), primary_key=True),
    ms("t_ms", index=True),
    text("template"),
    text("body"),
)
