"""Recording rules: the result of an expression becomes series of the rule's name."""

from __future__ import annotations

from tocsin.errors import ExecutionError
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.rule import RecordingRule
from tocsin.model.series import Vector


def recorded(rule: RecordingRule, vector: Vector) -> dict[Labels, float]:
    """Samples to write. Raises ExecutionError where two elements end with the same labels."""
    samples: dict[Labels, float] = {}
    for labels, value in zip(vector.labels, vector.values.tolist(), strict=True):
        named = labels.merged({METRIC_NAME: rule.name, **rule.labels})
        if named in samples:
            raise ExecutionError("vector contains metrics with the same labelset after applying rule labels")
        samples[named] = value
    return samples
