"""From the outbox to a person: rendering, channels, retries, and the log of every attempt."""
