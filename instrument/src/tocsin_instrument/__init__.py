"""Metrics of a service: requests, databases, pools, jobs, payments. Each module does one thing."""

from tocsin_instrument.exposition import exposition

__all__ = ["exposition"]
__version__ = "0.1.0"
