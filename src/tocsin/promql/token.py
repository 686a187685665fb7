"""Tokens of PromQL, and how an error names them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tocsin.promql.text import go_quote


class Kind(enum.StrEnum):
    EOF = "end of input"
    ERROR = "error"
    IDENTIFIER = "identifier"
    METRIC_IDENTIFIER = "metric identifier"
    STRING = "string"
    NUMBER = "number"
    DURATION = "duration"
    OPERATOR = "operator"
    AGGREGATOR = "aggregator"
    KEYWORD = "keyword"
    ANCHOR = "anchor"
    PUNCTUATION = "punctuation"
    COLON = ":"
    """Its own kind: inside brackets any letter is lexed as one, as Prometheus does."""


OPERATOR_WORDS = frozenset({"and", "or", "unless", "atan2"})
AGGREGATORS = frozenset(
    {
        "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk",
        "count_values", "quantile", "limitk", "limit_ratio",
    }
)  # fmt: skip
KEYWORDS = frozenset({"offset", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"})
ANCHORS = frozenset({"start", "end"})

METRIC_WORDS = AGGREGATORS | {"by", "and", "or", "unless", "offset", "without", "start", "end"}
"""Keywords that may also name a metric."""
LABEL_WORDS = AGGREGATORS | OPERATOR_WORDS | ANCHORS | (KEYWORDS - {"without"})
"""Keywords that may also name a label in `by (...)`."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    start: int
    """Offset in characters."""
    word: str = ""
    """The keyword or operator in its canonical spelling."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def describe(self) -> str:
        """As in `unexpected <...>`: Prometheus's wording."""
        match self.kind:
            case Kind.EOF:
                return "end of input"
            case Kind.KEYWORD:
                return f"<{self.text}>"
            case Kind.OPERATOR:
                return f"<op:{self.text}>"
            case Kind.AGGREGATOR:
                return f"<aggr:{self.text}>"
            case Kind.IDENTIFIER | Kind.METRIC_IDENTIFIER:
                return f"{self.kind.value} {go_quote(self.text)}"
            case Kind.STRING | Kind.NUMBER | Kind.DURATION:
                return f"{self.kind.value} {_shortened(self.text)}"
            case _:
                return _shortened(self.text)


def _shortened(text: str) -> str:
    return go_quote(text[:10]) + "..." if len(text.encode()) > 10 else go_quote(text)
