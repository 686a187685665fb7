"""Warnings and infos of a query, in Prometheus's words and with positions."""

from __future__ import annotations

from tocsin.model.series import Annotations
from tocsin.promql.ast import Span
from tocsin.promql.text import format_general, go_quote

_QUANTILE_URL = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile"


class Notes:
    """Collects annotations of one query; each text once, in the order they came up."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    def warning(self, text: str, span: Span) -> None:
        self._warnings[f"PromQL warning: {text} ({span.place(self._query)})"] = None

    def info(self, text: str, span: Span) -> None:
        self._infos[f"PromQL info: {text} ({span.place(self._query)})"] = None

    def from_store(self, text: str) -> None:
        self._warnings[text] = None

    def collected(self) -> Annotations:
        return Annotations(tuple(self._warnings), tuple(self._infos))

    def invalid_quantile(self, q: float, span: Span) -> None:
        self.warning(f"quantile value should be between 0 and 1, got {format_general(q)}", span)

    def invalid_ratio(self, ratio: float, used: float, span: Span) -> None:
        got = f"got {format_general(ratio)}, capping to {format_general(used)}"
        self.warning(f"ratio value should be between -1 and 1, {got}", span)

    def bad_bucket_label(self, metric: str, label: str, span: Span) -> None:
        what = f'bucket label "le" is missing or has a malformed value of {go_quote(label)}'
        self.warning(f"{what} for metric name {go_quote(metric)}", span)

    def possible_non_counter(self, metric: str, span: Span) -> None:
        what = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:"
        self.info(f"{what} {go_quote(metric)}", span)

    def forced_monotonicity(self, metric: str, span: Span) -> None:
        what = f"input to histogram_quantile needed to be fixed for monotonicity (see {_QUANTILE_URL})"
        self.info(f"{what} for metric name {go_quote(metric)}", span)
