"""Remote Prometheus-shaped neighbours: a store, a source, an Alertmanager."""
