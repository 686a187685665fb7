"""Prometheus's HTTP API, as version 3.5 answers it."""
