"""State that must survive: incidents, the outbox, silences, alert states, accounts. SQLAlchemy Core on SQLite or PostgreSQL."""
