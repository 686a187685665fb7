"""Tables of what people add in the dashboard, of what status pages say, and of who follows them."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table

from tocsin.state.columns import ID, metadata, ms, text

# Visitors who follow a status page by mail or webhook. The address is theirs: a row is deleted when they leave.
status_subscribers = Table(
    "status_subscribers",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("page", String(64), nullable=False),
    Column("address", String(320), nullable=False),
    ms("created_ms"),
    ms("confirmed_ms"),
    ms("asked_ms", index=True),
    Column("asked_times", JSON, nullable=False),
    # email | webhook
    Column("kind", String(16), nullable=False, server_default="email"),
)
Index("status_subscribers_of_page", status_subscribers.c.page, status_subscribers.c.address, unique=True)

# What responders told the public on a status page; nothing else of an incident is ever shown there.
status_updates = Table(
    "status_updates",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("page", String(64), nullable=False, index=True),
    Column("incident", BigInteger, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    text("title"),
    text("text"),
    text("published_by"),
    ms("t_ms", index=True),
    ms("withdrawn_ms"),
    # The first update of a story that belongs to no incident; 0 = it is that of its incident.
    Column("story", BigInteger, nullable=False, server_default="0"),
    # {component of the page: operational | degraded | down | maintenance}, as said with this update.
    Column("components", JSON),
    ms("edited_ms"),
    Column("version", Integer, nullable=False, server_default="1"),
)

# Maintenance windows of the dashboard; those of the file are not here. `spec` is a MaintenanceSection as it was sent.
declared_maintenance = Table(
    "declared_maintenance",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("spec", JSON, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    text("created_by"),
    ms("created_ms"),
    ms("updated_ms"),
)

# Dashboards saved by people; those of files are not here. `document` is a `web.boards.board.Dashboard` as it was sent.
boards = Table(
    "boards",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    text("created_by"),
    text("updated_by"),
    ms("created_ms"),
    ms("updated_ms"),
)

# Checks added in the dashboard or by API; those of the file are not here.
declared_checks = Table(
    "declared_checks",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("spec", JSON, nullable=False),
    text("created_by"),
    ms("created_ms"),
)

# Sections of a configuration file, imported or filled in in the dashboard; `files`: rules, templates, dashboards by name.
additions = Table(
    "additions",
    metadata,
    Column("id", String(32), primary_key=True),
    text("kind"),
    Column("title", String(500), nullable=False),
    Column("sections", JSON, nullable=False),
    Column("files", JSON, nullable=False),
    text("created_by"),
    ms("created_ms"),
)
