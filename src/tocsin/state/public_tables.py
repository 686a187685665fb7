"""Tables of what people add in the dashboard: checks, imports, planned work, dashboards, and who follows a status page."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, String, Table

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
    # email | webhook; `gone`: how often in a row a webhook's server said that there is nobody (404, 410).
    Column("kind", String(16), nullable=False, server_default="email"),
    Column("gone", Integer, nullable=False, server_default="0"),
)
Index("status_subscribers_of_page", status_subscribers.c.page, status_subscribers.c.address, unique=True)

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
