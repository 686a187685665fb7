"""The packaging hook: put the built dashboard into the wheel.

`TOCSIN_UI=skip` leaves it out (the API works, `/` says how to build it); `TOCSIN_UI=prebuilt` takes `ui/dist` as it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))

import ui_build  # type: ignore[import-not-found]


class DashboardHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        mode = os.environ.get("TOCSIN_UI", "build")
        ui = Path(self.root) / "ui"
        if mode == "skip" or version == "editable":
            return  # an editable install finds ui/dist beside src/
        if mode != "prebuilt":
            ui_build.build(ui, lambda line: self.app.display_info(line))
        if not (ui / "dist" / "index.html").exists():
            raise SystemExit("TOCSIN_UI=prebuilt, but ui/dist/index.html is missing")
        if self.target_name == "wheel":
            build_data["force_include"][str(ui / "dist")] = "tocsin/web/static"
