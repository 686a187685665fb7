"""Thousands of texts that are almost PromQL: generated queries, and what typing errors make of them."""

from __future__ import annotations

import random

from tests.conformance.promql_random import QueryMaker

_TOKENS = (
    "sum", "by", "without", "(", ")", "[5m]", "[5m:1m]", "{", "}", ",", "offset", "5m", "@", "start()", "end", "on",
    "ignoring", "group_left", "group_right", "bool", "==", "!=", "=~", "!~", "=", ">", "<=", "and", "or", "unless",
    "atan2", "+", "-", "*", "/", "%", "^", "1", "0x1f", "1e3", "1_000", "Inf", "NaN", '"s"', "'s'", "`r`", '"\\x41"',
    "foo", "a:b", "rate", "topk", "quantile", "count_values", "limitk", "time()", "le", "#c\n", "\n", " ", "1h30m",
    "5", ".5", "5.", "ms", "0", '"ü"', "ü", "$", ":", "[", "]", "[-5m]", "[5m+1m]", "offset -5m", "offset (1m*2)",
    "@ 10", "@ -1.5", "@ end()", 'a="b"', 'a!="b"', 'a=~".*"', '{a="b"}', '{"x.y"="z"}', '{"metric.name"}',
    "sum by (a) (x)", "- -1", "1 + 2", "x == bool 1", "group_left(a)", "on(a)", "1..2", "1e", "0x", "1__0", "5y",
    "1d2h", "5m5m", "1ms", '"\\q"', '"unclosed', "info(x)", "label_replace", "histogram_quantile", "absent",
)  # fmt: skip


def corpus(rng: random.Random, count: int) -> list[str]:
    """About a third untouched, the others changed by one to three edits, or strung together from tokens."""
    maker = QueryMaker(rng)
    texts: list[str] = []
    while len(texts) < count:
        kind = rng.random()
        if kind < 0.25:
            texts.append(" ".join(rng.choice(_TOKENS) for _ in range(rng.randrange(1, 7))))
            continue
        text = maker.query()
        edits = 0 if kind < 0.5 else rng.randrange(1, 4)
        for _ in range(edits):
            text = mutated(rng, text)
        texts.append(text)
    return texts


def mutated(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    end = min(len(text), at + rng.choice((0, 1, 1, 2, 5)))
    kind = rng.randrange(5)
    if kind == 0:
        return text[:at] + text[end:]
    if kind == 1:
        return text[:at] + rng.choice(_TOKENS) + text[end:]
    if kind == 2:
        return text[:at] + " " + rng.choice(_TOKENS) + " " + text[at:]
    if kind == 3:
        return text[:at] + rng.choice("()[]{},=!~<>+-*/%^@:\"'`#0123456789abcxyz_. \n\\") + text[end:]
    other = rng.randrange(len(text) + 1)
    low, high = sorted((at, other))
    return text[:low] + text[high:] + text[low : min(high, low + 8)]
