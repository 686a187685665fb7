"""Rule files, their evaluation, the alert state machine and promtool's unit tests."""
