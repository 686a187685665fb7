"""The port of a check: what it is given, what it answers, and how it is registered.

A check is one file in `checks/`. Its fields are the configuration schema, the reference page and the form in the
dashboard; its `run` executes it once and answers an `Outcome`; errors of the world (OSError, ssl.SSLError, ProbeError) may pass
through it: the prober turns them into outcomes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome


class Check(BaseModel, ABC):
    """One check's settings and its execution."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    type_name: ClassVar[str] = ""
    """The word that configuration uses for it."""
    passive: ClassVar[bool] = False
    """Waits to be called (heartbeat) or set (manual): the prober never runs it."""
    file_only: ClassVar[bool] = False
    """Touches this machine or runs a program: may be declared in the configuration file only."""
    example: ClassVar[str] = ""
    """One entry of `checks:` as people would write it, for the reference page; a test reads it."""
    evidence: ClassVar[str] = ""
    """What a result keeps beside verdict, reason, phases and addresses."""
    default_every_ms: ClassVar[int] = 60_000
    light: ClassVar[bool] = True
    """May be run out of turn as a reference of the prober's self-test: quick, and nobody counts the questions."""
    default_timeout_ms: ClassVar[int] = 10_000
    waits_in_phases: ClassVar[bool] = False
    """Waits for the target within its phases only: their sum is the duration, without what we compute between and after them."""
    up_series: ClassVar[str] = ""
    """Name of the series by which the field's exporters say that the server is up, such as pg_up; 1 or 0 of each result."""

    @property
    @abstractmethod
    def target(self) -> str:
        """What is probed, for people and for the `instance` label; no secrets."""

    @abstractmethod
    async def run(self, io: Io) -> Outcome:
        """Execute once. Ends within `io.timeout_s` or is cancelled."""

    @classmethod
    def short_form(cls, value: Any) -> Mapping[str, Any]:
        """Fields meant by `<type>: value` in the configuration; raises ValueError with what was expected."""
        raise ValueError(f"expected a mapping of settings, got {value!r}")


C = TypeVar("C", bound=type[Check])

_TYPES: dict[str, type[Check]] = {}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check(name: str) -> Callable[[C], C]:
    """Register a check type under the word that configuration uses for it."""

    def register(cls: C) -> C:
        assert _NAME.fullmatch(name) and name not in _TYPES, f"check type {name!r} is taken or not a word"
        cls.type_name = name
        _TYPES[name] = cls
        return cls

    return register


def registered() -> Mapping[str, type[Check]]:
    """Types by name; `catalog.check_types()` loads the folder first."""
    return _TYPES
