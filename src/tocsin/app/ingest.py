"""Bytes that others push: remote write. Decoded off the loop, appended on it, answered after the append."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tocsin.bus.wire import IngestAnswer, IngestHandler, IngestRequest
from tocsin.errors import StoreError
from tocsin.formats.remote_write import RemoteWriteError, decode

if TYPE_CHECKING:
    from tocsin.app.core import Core


def ingest_table(core: Core) -> Mapping[str, IngestHandler]:
    """Every kind of push by name."""

    async def write(request: IngestRequest) -> IngestAnswer:
        try:
            decoded = await asyncio.to_thread(decode, request.body, request.headers)
        except RemoteWriteError as error:
            return IngestAnswer(error.status, f"{error}\n".encode())
        for metric, (kind, help_text, unit) in decoded.metadata.items():
            core.store.set_metadata(metric, kind, help_text, unit)
        try:
            result = core.store.append(decoded.batch)
        except StoreError as error:
            return IngestAnswer(503, f"{error}\n".encode(), headers={"retry-after": "30"})
        headers = {
            "x-prometheus-remote-write-samples-written": str(result.accepted),
            "x-prometheus-remote-write-histograms-written": "0",
            "x-prometheus-remote-write-exemplars-written": "0",
        }
        if result.refused:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(result.refused.items()))
            return IngestAnswer(
                400, f"refused: {reasons}; the other {result.accepted} samples are stored\n".encode(), headers=headers
            )
        return IngestAnswer(204, headers=headers)

    return {"write": write}
