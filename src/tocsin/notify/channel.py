"""What a channel is: its settings, its limits, and one `send`. Channels live in `channels/`, one file each.

    @channel("slack")
    class Slack(Channel):
        api_url: SecretStr

        async def send(self, message: Message, io: Io) -> Delivery: ...

The decorator registers; the fields are the configuration, the reference page and the form in the dashboard.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tocsin.model.httpclient import HttpClient
from tocsin.model.notification import Delivery, Message
from tocsin.model.ports import Http, Smtp
from tocsin.notify.pictures import NO_PICTURE, Picture


@dataclass(frozen=True, slots=True)
class Rate:
    """What a provider takes: `per_s` messages a second with bursts of `burst`, at most `parallel` at once."""

    per_s: float = 5.0
    burst: int = 20
    parallel: int = 4


@dataclass(frozen=True, slots=True)
class Io:
    """What a channel may touch. `refs` are its own notes of one incident and address (thread, message id): kept when changed."""

    http: Http
    smtp: Smtp
    now_ms: int
    refs: MutableMapping[str, Any] = field(default_factory=dict)
    host: str = "tocsin.invalid"
    """Right side of message ids."""
    picture: Picture = NO_PICTURE
    """The chart; ask it with a budget, a message never waits for it."""


class Channel(BaseModel):
    """Settings of one destination, validated, and how to reach it."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)

    type: ClassVar[str] = ""
    address_field: ClassVar[str] = ""
    """The setting that a contact method's `address` fills."""
    url_field: ClassVar[str] = ""
    """The setting that an address fills that is a URL (a chat tool's webhook)."""
    takes_updates: ClassVar[bool] = True
    """False where every message interrupts a person (SMS): only pages and the end are sent."""
    news_every_ms: ClassVar[int] = 0
    """Mere news of a storm are sent here at most this often; pages, acknowledgements and the end at once."""
    illustrates: ClassVar[bool] = False
    """`illustrate` adds the chart to the first message of an incident, after it was sent."""
    threads: ClassVar[bool] = False
    """News can stand under another message: incidents of one storm share a root (`notify.threads`)."""
    idempotent: ClassVar[bool] = False
    """The receiver folds a repeated delivery id into one: sending again after a lost answer is harmless."""
    for_programs: ClassVar[bool] = False
    """Read by a program that keeps an object per incident: each is told by itself, never as a line in another's message."""
    best_effort: ClassVar[bool] = False
    """Knows only success or failure; config check warns where it is somebody's only page channel."""
    one_provider: ClassVar[bool] = True
    """False where each address is a server of somebody else: that one fails says nothing of the next, and pauses no lane."""
    rate: ClassVar[Rate] = Rate()

    http_config: HttpClient | None = None
    """Credentials, headers, TLS and proxy of its requests; keys as in `receivers[].*_configs[].http_config`."""

    @abstractmethod
    async def send(self, message: Message, io: Io) -> Delivery:
        """One attempt. The world's refusals are values; only a programmer's mistake raises."""

    async def illustrate(self, message: Message, io: Io, image: bytes) -> str:
        """Add the chart to a message that was sent a moment ago (`illustrates`); returns what went wrong. Best effort."""
        return ""

    def lane(self) -> str:
        """Messages of one lane share the provider's limits and its circuit breaker. Holds no secret."""
        return self.type


_registry: dict[str, type[Channel]] = {}
C = TypeVar("C", bound=type[Channel])


def channel(name: str) -> Callable[[C], C]:
    """Register a channel under `name`."""

    def register(cls: C) -> C:
        assert name not in _registry, f"channel {name} is defined twice"
        cls.type = name
        _registry[name] = cls
        return cls

    return register


@lru_cache(maxsize=1)
def registry() -> Mapping[str, type[Channel]]:
    """Every channel by name."""
    package = importlib.import_module("tocsin.notify.channels")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return _registry


def build(name: str, settings: Mapping[str, Any], *, address: str = "") -> Channel:
    """A channel of these settings. Raises ValueError with one sentence per field, secrets hidden."""
    cls = registry().get(name)
    if cls is None:
        raise ValueError(f"unknown channel {name!r} (expected one of {', '.join(sorted(registry()))})")
    values = dict(settings)
    name = cls.url_field if cls.url_field and "://" in address else cls.address_field
    if address and name:
        values.setdefault(name, address)
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    parts = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        path = ".".join(str(part) for part in problem["loc"])
        parts.append(f"{path}: {problem['msg']}" if path else problem["msg"])
    return "; ".join(parts)


def fold(secret: str) -> str:
    """A short name for a secret, to tell lanes apart without showing it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]
