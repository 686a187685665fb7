"""Tocsin: monitoring, alerting and on-call in one command."""

__version__ = "0.1.0"
