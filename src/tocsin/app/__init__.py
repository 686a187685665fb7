"""Tocsin in one sentence: core, probe and web, each built from its parts and run until told to stop."""

from tocsin.app.core import migrate, run_core
from tocsin.app.probe import run_probe
from tocsin.app.settings import ServeSettings, open_state
from tocsin.app.web import run_web

__all__ = ["ServeSettings", "migrate", "open_state", "run_core", "run_probe", "run_web"]
