"""Alerts: intake, routing, grouping, silences, inhibition, time intervals; hands pages on."""
