"""Errors of regular expressions in the words of Go's regexp package, which Prometheus passes on."""

from __future__ import annotations

import re2

_GO_WORDS = {
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
}


def explain(pattern: str, error: Exception) -> str:
    """What is wrong with `pattern`, which failed with `error` inside an anchored one."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as bare:
        error = bare
    reason = error.args[0] if error.args else str(error)
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    what, separator, where = text.partition(": ")
    return f"error parsing regexp: {_GO_WORDS.get(what, what)}" + (f": `{where}`" if separator else "")
