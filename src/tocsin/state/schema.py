"""Tables of the state database. Instants are int milliseconds UTC (`_ms`), 0 = never; JSON columns hold plain values.

Each room owns its section: it alone writes those tables, everybody may read them.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table

from tocsin.state.account_tables import accounts as accounts
from tocsin.state.account_tables import passkeys as passkeys
from tocsin.state.account_tables import sessions as sessions
from tocsin.state.account_tables import tokens as tokens
from tocsin.state.columns import ID
from tocsin.state.columns import metadata as metadata
from tocsin.state.columns import ms as _ms
from tocsin.state.columns import text as _text
from tocsin.state.public_tables import additions as additions
from tocsin.state.public_tables import boards as boards
from tocsin.state.public_tables import declared_checks as declared_checks
from tocsin.state.public_tables import declared_maintenance as declared_maintenance
from tocsin.state.public_tables import status_subscribers as status_subscribers
from tocsin.state.public_tables import status_updates as status_updates
from tocsin.state.routine_tables import contacts as contacts
from tocsin.state.routine_tables import drills as drills
from tocsin.state.routine_tables import feeds as feeds
from tocsin.state.routine_tables import notification_texts as notification_texts
from tocsin.state.routine_tables import quiet_hours as quiet_hours
from tocsin.state.routine_tables import reports as reports

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), _text("value"))

# -- events: the append-only timeline of everything --

events = Table(
    "events",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    _ms("t_ms", index=True),
    _text("actor"),
    _text("verb"),
    Column("subject", String(255), nullable=False, index=True),
    _text("text"),
    Column("data", JSON, nullable=False),
    _text("cause"),
    _text("hash"),
)

# -- rules: state of every label set of every rule --

alert_states = Table(
    "alert_states",
    metadata,
    Column("rule_id", String(255), primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
    Column("labels", JSON, nullable=False),
    _text("phase"),
    _ms("active_at_ms"),
    _ms("fired_at_ms"),
    _ms("keep_firing_since_ms"),
    _ms("resolved_at_ms"),
    _ms("last_true_ms"),
    _ms("unknown_since_ms"),
    Column("value", Float, nullable=False, server_default="0"),
    Column("annotations", JSON, nullable=False),
    _text("reason"),
    Column("history", BigInteger, nullable=False, server_default="0"),
    Column("evaluations", BigInteger, nullable=False, server_default="0"),
    Column("extra", JSON, nullable=False),
    _ms("updated_ms"),
    _ms("flapping_since_ms", index=True),
    # The last results of a flapping alert as bits, behind a leading 1.
    Column("results", BigInteger, nullable=False, server_default="0"),
    # What a person should know of the state: why it is held open or not told.
    _text("note"),
    # The alert's fingerprint with external labels, as dispatcher and incidents know it; only while flapping.
    Column("told_as", String(16), nullable=False, server_default=""),
    # Unreachable: the fingerprint (as told) of the alert that it stands behind.
    Column("below", String(16), nullable=False, server_default="", index=True),
)

rule_groups = Table(
    "rule_groups",
    metadata,
    Column("key", String(512), primary_key=True),
    _ms("last_evaluation_ms"),
    Column("data", JSON, nullable=False),
)

# Written in the same transaction as the transition; read and removed in the dispatcher's own.
alert_intake = Table(
    "alert_intake",
    metadata,
    Column("seq", ID, primary_key=True, autoincrement=True),
    Column("fingerprint", String(16), nullable=False),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    _ms("starts_at_ms"),
    _ms("ends_at_ms"),
    Column("timeout", Boolean, nullable=False, server_default=sa.false()),
    _text("generator_url"),
    _text("source"),
    Column("value", Float),
    _ms("received_ms"),
    _text("trace_id"),
)

# -- alerts: what the dispatcher knows --

alerts = Table(
    "alerts",
    metadata,
    Column("fingerprint", String(16), primary_key=True),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    _ms("starts_at_ms"),
    _ms("ends_at_ms", index=True),
    _ms("updated_at_ms"),
    Column("timeout", Boolean, nullable=False, server_default=sa.false()),
    _text("generator_url"),
    _text("source"),
    Column("value", Float),
    Column("suppressed_by", JSON, nullable=False),
    _text("explanation"),
    _text("trace_id"),
)

# One firing interval of one alert: history, MTTR, flapping.
episodes = Table(
    "episodes",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("fingerprint", String(16), nullable=False, index=True),
    _text("alertname"),
    _text("severity"),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    _ms("starts_at_ms", index=True),
    _ms("ends_at_ms", index=True),
    _text("ended_by"),
    Column("value", Float),
    Column("incident", BigInteger, nullable=False, server_default="0", index=True),
)

alert_groups = Table(
    "alert_groups",
    metadata,
    Column("key", String(1024), primary_key=True),
    _text("route_id"),
    _text("receiver"),
    Column("labels", JSON, nullable=False),
    _ms("created_ms"),
    _ms("next_flush_ms", index=True),
    _ms("last_flush_ms"),
    _ms("last_notified_ms"),
    Column("notified_firing", JSON, nullable=False),
    Column("notified_resolved", JSON, nullable=False),
    Column("extra", JSON, nullable=False),
)

alert_group_members = Table(
    "alert_group_members",
    metadata,
    Column("group_key", String(1024), primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
    _ms("joined_ms"),
)

silences = Table(
    "silences",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("matchers", JSON, nullable=False),
    _ms("starts_at_ms"),
    _ms("ends_at_ms", index=True),
    _text("created_by"),
    _text("comment"),
    _ms("updated_at_ms"),
    Column("annotations", JSON, nullable=False),
)

# -- incidents --

incidents = Table(
    "incidents",
    metadata,
    Column("number", ID, primary_key=True, autoincrement=True),
    Column("key", String(1024), nullable=False, index=True),
    Column("generation", Integer, nullable=False, server_default="1"),
    _text("title"),
    _text("severity"),
    _text("urgency"),
    Column("state", String(16), nullable=False, index=True),
    _text("receiver"),
    _text("service"),
    Column("policy", JSON, nullable=False),
    Column("group_labels", JSON, nullable=False),
    _ms("created_ms", index=True),
    _ms("acknowledged_ms"),
    _text("acknowledged_by"),
    _ms("resolved_ms"),
    _text("resolved_by"),
    _ms("snoozed_until_ms"),
    Column("step", Integer, nullable=False, server_default="0"),
    Column("loop", Integer, nullable=False, server_default="0"),
    _ms("next_escalation_at_ms", index=True),
    Column("reopen_count", Integer, nullable=False, server_default="0"),
    Column("verdict", String(16), nullable=False, server_default=""),
    Column("remediation", JSON, nullable=False),
    Column("extra", JSON, nullable=False),
    _ms("updated_ms"),
    Column("version", BigInteger, nullable=False, server_default="1"),
    _text("trace_id"),
    # The incident that lives on when this one was merged; 0 = it lives itself.
    Column("merged_into", BigInteger, nullable=False, server_default="0", index=True),
    # False for what fires all the time on purpose (severity none) and only places hear of: nobody's work.
    Column("listed", Boolean, nullable=False, server_default=sa.true()),
)

incident_alerts = Table(
    "incident_alerts",
    metadata,
    Column("incident", ID, ForeignKey("incidents.number"), primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    _ms("starts_at_ms"),
    _ms("ends_at_ms"),
    Column("value", Float),
    _text("severity"),
    _text("generator_url"),
)

# Which incidents an alert that fires belongs to.
Index("incident_alerts_firing", incident_alerts.c.fingerprint, incident_alerts.c.ends_at_ms)

# An incident that several receivers' groups are about: a row for each of them, its own first group included. Most have none.
incident_receivers = Table(
    "incident_receivers",
    metadata,
    Column("incident", ID, ForeignKey("incidents.number"), primary_key=True),
    Column("key", String(1024), primary_key=True, index=True),
    _text("receiver"),
    _text("group_key"),
    _text("route_id"),
    _text("reason"),
    Column("policy", JSON, nullable=False),
    # What the group held at its last page: fingerprint -> start of the spell; and every alert that it ever held.
    Column("firing", JSON, nullable=False),
    Column("known", JSON, nullable=False),
    Column("covered", Boolean, nullable=False, server_default=sa.false()),
    _ms("joined_ms", index=True),
)

# Every future thing of an incident besides its escalation: acknowledgement timeout, reminder, snooze, automatic resolve.
timers = Table(
    "timers",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    _ms("due_at_ms", index=True),
    Column("kind", String(32), nullable=False),
    Column("subject", String(255), nullable=False, index=True),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("data", JSON, nullable=False),
)

schedule_overrides = Table(
    "schedule_overrides",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("schedule", String(255), nullable=False, index=True),
    _ms("start_ms"),
    _ms("end_ms"),
    _text("mode"),
    Column("users", JSON, nullable=False),
    Column("data", JSON, nullable=False),
    _text("created_by"),
    _ms("created_ms"),
)

# -- notifications: the outbox is the log --

notifications = Table(
    "notifications",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("incident", BigInteger, nullable=False, server_default="0", index=True),
    _text("kind"),
    _text("channel"),
    _text("address"),
    _text("recipient"),
    _text("reason"),
    Column("dedup_key", String(1024), nullable=False, unique=True),
    Column("settings_ref", String(255), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    _ms("due_at_ms"),
    _ms("created_ms", index=True),
    _ms("expires_ms"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _ms("lease_until_ms"),
    _text("lease_owner"),
    _text("provider_id"),
    _text("state_reason"),
    _ms("sent_ms"),
    _ms("done_ms"),
    Column("order_key", String(512), nullable=False, server_default=""),
    Column("possible_repeat", Boolean, nullable=False, server_default=sa.false()),
    _text("trace_id"),
    Column("extra", JSON, nullable=False),
)
Index("notifications_due", notifications.c.state, notifications.c.due_at_ms)
Index("notifications_order", notifications.c.order_key, notifications.c.created_ms)

attempts = Table(
    "attempts",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("notification", String(32), ForeignKey("notifications.id"), nullable=False, index=True),
    Column("n", Integer, nullable=False),
    _ms("started_ms", index=True),
    _ms("ended_ms"),
    _text("outcome"),
    Column("status", Integer, nullable=False, server_default="0"),
    _text("reason"),
    _text("provider_id"),
)

# Provider references that later messages need: the Slack thread, the mail thread, the PagerDuty key.
channel_refs = Table(
    "channel_refs",
    metadata,
    Column("incident", BigInteger, primary_key=True),
    Column("order_key", String(512), primary_key=True),
    Column("data", JSON, nullable=False),
)

# -- checks --

check_states = Table(
    "check_states",
    metadata,
    Column("check_id", String(128), primary_key=True),
    Column("location", String(64), primary_key=True, server_default="local"),
    _text("state"),
    _ms("since_ms"),
    _text("reason"),
    _text("message"),
    Column("consecutive_failures", Integer, nullable=False, server_default="0"),
    Column("consecutive_successes", Integer, nullable=False, server_default="0"),
    _ms("last_ms"),
    _ms("last_ok_ms"),
    Column("last_result", JSON),
)

# Runs with their evidence: failures, state changes, manual runs and a thinned sample of the good ones.
check_runs = Table(
    "check_runs",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("check_id", String(128), nullable=False),
    _ms("started_ms"),
    Column("ok", Boolean, nullable=False),
    _text("reason"),
    _text("message"),
    Column("result", JSON, nullable=False),
    _text("manual_by"),
)
Index("check_runs_by_check", check_runs.c.check_id, check_runs.c.started_ms)

# The last report that each place was answered for: one whose answer was lost is not counted twice.
probe_reports = Table(
    "probe_reports",
    metadata,
    Column("location", String(64), primary_key=True),
    _text("session"),
    Column("number", BigInteger, nullable=False, server_default="0"),
    _ms("received_ms"),
)

# Groups of pushed samples (the Pushgateway's API): kept alive over a restart. `samples`: [[{label: value}, number], ...].
pushed_groups = Table(
    "pushed_groups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("labels", JSON, nullable=False),
    _ms("pushed_ms"),
    Column("samples", JSON, nullable=False),
)

check_changes = Table(
    "check_changes",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("check_id", String(128), nullable=False),
    _ms("t_ms"),
    _text("before"),
    _text("after"),
    _text("reason"),
    _text("message"),
)
Index("check_changes_by_check", check_changes.c.check_id, check_changes.c.t_ms)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("check_id", String(128), primary_key=True),
    _ms("last_ms"),
    _text("last_kind"),
    _ms("started_ms"),
    _text("body"),
)

# -- what people store --

short_links = Table(
    "short_links",
    metadata,
    Column("id", String(16), primary_key=True),
    _text("url"),
    _text("created_by"),
    _ms("created_ms", index=True),
)

# Markers on charts: deploys, restarts, notes.
markers = Table(
    "markers",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    _ms("t_ms", index=True),
    _text("kind"),
    _text("service"),
    _text("text"),
    Column("data", JSON, nullable=False),
)
