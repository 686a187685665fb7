"""Check specs and results across the socket (results are read by `collect.receive.result_of`)."""

from __future__ import annotations

import dataclasses
from typing import Any

from tocsin.model.check import CheckAlert, CheckResult, CheckSpec
from tocsin.model.labels import Labels


def spec_to_json(spec: CheckSpec) -> dict[str, Any]:
    raw = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    raw["labels"] = dict(spec.labels)
    return raw


def spec_from_json(raw: dict[str, Any]) -> CheckSpec:
    return CheckSpec(
        **{**raw, "labels": Labels(raw["labels"]), "alert": CheckAlert(**raw["alert"]), "locations": tuple(raw["locations"])}
    )


def result_to_json(result: CheckResult) -> dict[str, Any]:
    return {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
