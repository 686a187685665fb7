"""Writes one service as OpenMetrics text and its truth as JSON, so that other systems can be scored on the same data.

`promtool tsdb create-blocks-from openmetrics FILE DIR` reads the text.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from generate import START_MS, STEP_S, Service

from tocsin.model.labels import METRIC_NAME, quote


def dump(service: Service, folder: Path) -> None:
    """`folder/<service>.om` and `folder/<service>.json`."""
    from replay import series_of  # replay imports the engine; a dump alone does not need it before

    folder.mkdir(parents=True, exist_ok=True)
    families: dict[str, list[str]] = {}
    for labels, values in series_of(service):
        name = labels.get(METRIC_NAME)
        pairs = ",".join(f"{key}={quote(value)}" for key, value in labels.pairs if key != METRIC_NAME)
        present = np.flatnonzero(~np.isnan(values))
        lines = families.setdefault(name, [])
        lines += [f"{name}{{{pairs}}} {values[i]:.17g} {START_MS / 1000 + int(i) * STEP_S:.0f}" for i in present]
    text = "\n".join(line for lines in families.values() for line in lines)
    (folder / f"{service.name}.om").write_text(f"{text}\n# EOF\n")
    truth = {"service": service.name, "base_rps": service.base_rps, "incidents": [asdict(one) for one in service.incidents]}
    (folder / f"{service.name}.json").write_text(json.dumps(truth, indent=1))
