"""What a page says of a database that is gone: the cause, not a hint of the client library."""

from __future__ import annotations

import socket

import pytest
from tests.collect.fakes import run_once

from tocsin.model.check import CheckReason


@pytest.mark.parametrize(("kind", "scheme"), [("postgres", "postgresql"), ("mysql", "mysql"), ("redis", "redis")])
async def test_a_closed_port_is_told_as_refused(kind: str, scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can open it meanwhile
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = await run_once({kind: address if kind == "redis" else f"{scheme}://u@{address}/x"})
    assert result.reason is CheckReason.REFUSED
    assert "refused" in result.message.lower()
