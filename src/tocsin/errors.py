"""What an operator can do wrong, as a tree.

    TocsinError
    ├── ConfigError          a setting is wrong: file, line, field path, what was expected
    ├── QueryError           PromQL: Prometheus's error type and text, with a position
    │   ├── ParseError       `bad_data`: the text is not PromQL
    │   ├── ExecutionError   `execution`: it cannot be evaluated
    │   ├── QueryTimeout     `timeout`
    │   └── QueryCanceled    `canceled`
    ├── StoreError           the metric store cannot accept or answer
    │   ├── LimitExceeded    a configured limit refused new load; what was accepted stays
    │   └── DiskFull         no room: samples stop, paging goes on
    ├── StateError           the state database cannot be used (locked, newer version, damaged)
    ├── CommandError         a command of a person or program is refused: status, code, text
    └── UsageError           the command line

What the world does (a site down, a 429) is a value, never an exception; what a programmer does is an `assert`.
"""

from __future__ import annotations

from dataclasses import dataclass


class TocsinError(Exception):
    """An error that a person can act on; its text is shown as it is."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands; line and column count from 1, 0 = unknown."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file or "<config>"]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong (or doubtful) in what an operator wrote."""

    place: Place
    path: str
    """Field path such as `checks[3].timeout`; empty when the whole file is meant."""
    message: str
    """What is wrong, what was expected, what to do: one sentence."""
    warning: bool = False

    def __str__(self) -> str:
        level = "warning: " if self.warning else ""
        path = f"{self.path}: " if self.path else ""
        return f"{self.place}: {level}{path}{self.message}"


class ConfigError(TocsinError):
    """One or more problems in configuration; nothing of it was applied."""

    def __init__(self, problems: list[Problem] | Problem) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else problems
        super().__init__("\n".join(str(problem) for problem in self.problems))


class QueryError(TocsinError):
    """A PromQL query failed; `error_type` is Prometheus's word for it."""

    error_type = "execution"


class ParseError(QueryError):
    """The text is not PromQL. Positions are 0-based offsets in characters of the query."""

    error_type = "bad_data"

    def __init__(self, message: str, *, start: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


class ExecutionError(QueryError):
    error_type = "execution"


class QueryTimeout(QueryError):
    error_type = "timeout"


class QueryCanceled(QueryError):
    error_type = "canceled"


class StoreError(TocsinError):
    """The metric store cannot accept or answer."""


class LimitExceeded(StoreError):
    """A configured limit refused new load; what was accepted stays."""


class DiskFull(StoreError):
    """No room for samples; evaluation and paging go on."""


class StateError(TocsinError):
    """The state database cannot be used."""


class CommandError(TocsinError):
    """A command is refused. `status` is the HTTP status that the caller should see."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class UsageError(TocsinError):
    """The command line is wrong."""
