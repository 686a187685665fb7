"""When samples were taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tocsin.model.series import ValueType
from tocsin.promql import ast
from tocsin.promql.frame import Frame
from tocsin.promql.function import Call, raw_function

if TYPE_CHECKING:
    from tocsin.promql.evaluate import Evaluator


@raw_function("timestamp", takes={"vector": ValueType.VECTOR}, at_safe=False)
def timestamp(evaluator: Evaluator, call: Call) -> Frame:
    """Seconds since 1970 of each sample of a selector; of anything computed, the time of the step."""
    argument = ast.unwrap(call.node.args[0])
    if isinstance(argument, ast.VectorSelector):
        frame, taken_ms = evaluator.instant(argument, call.t_ms)
        taken = taken_ms / 1000
    else:
        frame = evaluator.vector(argument, call.t_ms)
        taken = np.broadcast_to(call.t_ms / 1000, frame.values.shape)
    return evaluator.scope.naming.dropped(frame.with_values(taken, frame.present).compact())
