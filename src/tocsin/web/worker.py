"""A process for heavy queries: it may use its memory and its time, and is killed beyond either, without harm to the others.

    web ──one JSON line──▶ worker        worker ──frames──▶ web: 4 bytes length, bytes; the first frame is a JSON header,
                                                                  an empty frame ends the answer

Started at the first heavy query by `web/heavy.py` as `python -m tocsin.web.worker <store> <memory limit> <features>`.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from tocsin.clock import SystemClock
from tocsin.errors import QueryError
from tocsin.heap import keep_pages
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.tsdb.follower import Follower
from tocsin.web.prometheus.job import QueryJob
from tocsin.web.trial_job import TrialJob

TOO_BIG = "the query needs more memory than a query may use; ask for less time, fewer series or a larger step"


def main(store: Path, memory_limit: int, features: frozenset[str]) -> None:
    """Answer queries from standard input until it ends."""
    keep_pages()
    resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))
    clock = SystemClock()
    follower = Follower(path=store, clock=clock)
    follower.open()
    engine = Engine(follower, EngineOptions(features=features), clock=clock)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    for line in sys.stdin.buffer:
        follower.step()
        wanted = orjson.loads(line)
        answer(engine, TrialJob(**wanted) if wanted["kind"] == "backtest" else QueryJob(**wanted), out)


def answer(engine: Engine, job: QueryJob | TrialJob, out: BinaryIO) -> None:
    """Evaluate one job and write its frames."""
    try:
        body = job.answered(engine)
    except QueryError as error:
        _frame(out, orjson.dumps({"error_type": error.error_type, "error": str(error)}))
    except MemoryError:
        _frame(out, orjson.dumps({"error_type": "execution", "error": TOO_BIG}))
    else:
        _frame(out, b"{}")
        pieces: Iterator[bytes] = iter([body]) if isinstance(body, bytes) else body
        for piece in pieces:
            if piece:
                _frame(out, piece)
    _frame(out, b"")


def _frame(out: BinaryIO, data: bytes) -> None:
    out.write(struct.pack(">I", len(data)))
    view = memoryview(data)
    while view:
        view = view[out.write(view) or 0 :]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), frozenset(filter(None, sys.argv[3].split(","))))
