"""The functions of PromQL, one family per file. Every module of this folder is loaded; none knows another."""

from __future__ import annotations

import importlib
import pkgutil

from tocsin.promql.function import registered

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

FUNCTIONS = registered()
