"""FastAPI: `instrument(app)`."""

from __future__ import annotations

from tocsin_instrument.starlette import instrument

__all__ = ["instrument"]
