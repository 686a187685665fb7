"""The public port: dashboard, Prometheus and Alertmanager APIs, our own REST, ingest, sign-in and the live stream."""
