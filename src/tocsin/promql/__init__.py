"""PromQL: text -> syntax tree -> values, with the answers of Prometheus 3.5."""
