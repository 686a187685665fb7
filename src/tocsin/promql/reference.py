"""The reference page of PromQL's functions, made from their signatures: docs/reference/promql.md.

PYTHONPATH=src python -m tocsin.promql.reference > docs/reference/promql.md
"""

from __future__ import annotations

import sys

from tocsin.promql.functions import FUNCTIONS

_INTRODUCTION = """# PromQL in Tocsin

The language, its results, its error texts and its warnings are those of Prometheus 3.5; what follows lists what there is
and where the two are known to differ. Functions with a flag are parsed only when the flag is on, by its name in Prometheus.

Flags: `promql-experimental-functions` (functions below, `limitk`, `limit_ratio`), `promql-duration-expr`
(`[5m * 2]`), `promql-delayed-name-removal`; and our own `tocsin-anomaly`. UTF-8 names, `@`, `offset`, negative offsets and
subqueries are always on.

## Known differences

- Native histograms are not stored: functions on them give an empty vector.
- `info()` joins each series with the info series of its own `instance` and `job`. Prometheus 3.5 pairs by position in the
  step's vector, and so mixes them up where a series has no sample at a step.
- `timestamp(x @ t offset d)` honours the offset; Prometheus 3.5 ignores it there.
- Which of equally good series `topk`, `bottomk` and `limitk` take depends on the order of series in the store, in both.
- `count_values` over a range is refused when the number of values times the number of steps exceeds the sample limit.
- Variance and standard deviation over series are computed more exactly where values are much larger than their spread.
- The message about an unexpected `@` names the character, not the number of a token.

## Aggregations

`sum`, `avg`, `min`, `max`, `count`, `group`, `stddev`, `stdvar`, `quantile(φ, v)`, `topk(k, v)`, `bottomk(k, v)`,
`count_values("label", v)`, `limitk(k, v)` (flag), `limit_ratio(r, v)` (flag); each with `by (...)` or `without (...)`.

## Functions

| function | gives | what it does | flag |
|---|---|---|---|
"""


def reference() -> str:
    """The page as Markdown."""
    rows = []
    for name in sorted(FUNCTIONS):
        each = FUNCTIONS[name]
        summary = " ".join(each.summary.split()).replace("|", "\\|")
        flag = f"`{each.feature}`" if each.feature else ""
        rows.append(f"| `{each.signature()}` | {each.returns.value} | {summary} | {flag} |\n")
    return _INTRODUCTION + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(reference())
