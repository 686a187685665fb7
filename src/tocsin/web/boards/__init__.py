"""Dashboards as files: what they may say, those we ship, and the same for Grafana."""
