"""Settings for every test, and the totals of the simulation at the end of a run."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

# Developers search anew with every run; CI judges a submission by examples that are the same each time.
# An example has no deadline: 200 ms, hypothesis's own, say how busy the machine is.
settings.register_profile("ours", deadline=None)
settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "ours")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the simulation lived, over all workers, and which seed found each planted bug."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    said = [entry for report in reports for entry in getattr(report, "user_properties", ())]
    lived = [value for name, value in said if name == "simulation"]
    if lived:
        from tests.simulation.run import Totals

        totals = Totals()
        for value in lived:
            totals.merge(value)
        terminalreporter.write_line(f"simulation: {totals}")
    for name, value in said:
        if name == "planted":
            terminalreporter.write_line(f"planted bug {value}")
