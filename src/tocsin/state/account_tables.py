"""Tables of who may sign in and how. They are reached through `schema`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, String, Table

from tocsin.state.columns import ID, metadata, ms, text

accounts = Table(
    "accounts",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False, unique=True),
    text("full_name"),
    text("email"),
    Column("role", String(16), nullable=False),
    text("password_hash"),
    Column("settings", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=sa.false()),
    ms("created_ms"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    Column("account", ID, ForeignKey("accounts.id"), nullable=False),
    text("csrf"),
    ms("created_ms"),
    ms("expires_ms"),
    ms("seen_ms"),
    text("address"),
    text("agent"),
    Column("passkey", BigInteger, nullable=False, server_default="0"),  # the one that opened it: they end together
)

# Public keys of authenticators. The id of a credential is as long as its maker likes: it is found by its SHA-256.
passkeys = Table(
    "passkeys",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("account", ID, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    text("name"),
    Column("credential_hash", String(64), nullable=False, unique=True),
    text("credential"),  # base64url: authenticator model, credential id, public key (attested credential data of WebAuthn)
    text("user_handle"),  # base64url: what the authenticator calls the account
    text("rp_id"),  # the host name it was made for; it works under no other
    text("transports"),
    Column("sign_count", BigInteger, nullable=False, server_default="0"),
    Column("synced", Boolean, nullable=False, server_default=sa.false()),
    ms("created_ms"),
    ms("used_ms"),
)

# API tokens and one-time sign-in links; only the SHA-256 of the secret is kept.
tokens = Table(
    "tokens",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    text("name"),
    Column("kind", String(16), nullable=False, server_default="api"),
    Column("role", String(16), nullable=False),
    Column("account", BigInteger, nullable=False, server_default="0"),
    ms("created_ms"),
    ms("expires_ms"),
    ms("used_ms"),
    text("created_by"),
    text("place"),  # of a probe's token: the only place it may speak for
)
