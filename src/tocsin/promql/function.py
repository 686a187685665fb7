"""What a PromQL function is, and the decorator that makes a Python function one.

    @function("clamp_max")
    def clamp_max(call: Call, vector: Frame, maximum: Scalar) -> Frame:
        '''Values above `maximum` become `maximum`.'''

The signature gives the parser its types, the reference page its text and the editor its completion:
`Windows` a range vector, `Frame` an instant vector, `Scalar` a number per step, `str` a string literal;
a default marks an optional argument, `*names: str` any number of them.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64, ValueType
from tocsin.promql import ast
from tocsin.promql.annotation import Notes
from tocsin.promql.frame import Frame
from tocsin.promql.labelsets import LabelCache
from tocsin.promql.window import Windows

EXPERIMENTAL = "promql-experimental-functions"


class Scalar(np.ndarray[Any, np.dtype[np.float64]]):
    """float64 [s]: one number per step. Only a name for signatures; plain arrays are passed."""


Cells = tuple[Float64, Bool | None]
"""Result of a range function: values [k, s] and where they mean something (None: wherever the window has samples)."""

_TYPES: dict[Any, ValueType] = {
    Windows: ValueType.MATRIX,
    Frame: ValueType.VECTOR,
    Scalar: ValueType.SCALAR,
    str: ValueType.STRING,
}


@dataclass(frozen=True, slots=True)
class Call:
    """What a function may know besides its arguments. t_ms int64 [s] are the steps."""

    node: ast.Call
    t_ms: Int64
    notes: Notes
    labels: LabelCache
    """Remembers what was made of the labels of many series."""
    metric_names: tuple[Labels, ...] = ()
    """Labels of the series a range function works on, for its annotations."""

    def arg_span(self, index: int) -> ast.Span:
        return self.node.args[index].span


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    run: Callable[..., Any]
    params: tuple[ValueType, ...]
    names: tuple[str, ...]
    variadic: int
    """0 = exactly the parameters; n > 0 = up to n of the last may be left out; -1 = the last repeats, or is absent."""
    returns: ValueType
    summary: str
    feature: str = ""
    keeps_name: bool = False
    raw: bool = False
    """Gets the evaluator and the unevaluated call."""
    at_safe: bool = True
    """Gives the same at every step when its arguments do."""
    takes_windows: bool = field(default=False)

    def signature(self) -> str:
        shown = [f"{name} {ast.DOCUMENTED_TYPE[kind]}" for name, kind in zip(self.names, self.params, strict=True)]
        if self.variadic > 0:
            shown[-1] = f"[{shown[-1]}]"
        elif self.variadic < 0:
            shown[-1] += " ..."
        return f"{self.name}({', '.join(shown)})"


_REGISTRY: dict[str, Function] = {}
F = TypeVar("F", bound=Callable[..., Any])


def function(
    name: str,
    *,
    feature: str = "",
    keeps_name: bool = False,
    at_safe: bool = True,
) -> Callable[[F], F]:
    """Register a function whose arguments are evaluated before it is called."""

    def register(run: F) -> F:
        hints = typing.get_type_hints(run)
        params = [p for p in inspect.signature(run).parameters.values() if _plain(hints.get(p.name)) in _TYPES]
        kinds = tuple(_TYPES[_plain(hints[p.name])] for p in params)
        optional = sum(p.default is not inspect.Parameter.empty for p in params)
        repeated = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in params)
        _REGISTRY[name] = Function(
            name=name,
            run=run,
            params=kinds,
            names=tuple(p.name for p in params),
            variadic=-1 if repeated else optional,
            returns=ValueType.SCALAR if hints["return"] is Scalar else ValueType.VECTOR,
            summary=inspect.getdoc(run) or "",
            feature=feature,
            keeps_name=keeps_name,
            at_safe=at_safe,
            takes_windows=ValueType.MATRIX in kinds,
        )
        return run

    return register


def raw_function(
    name: str, *, takes: dict[str, ValueType], optional: int = 0, feature: str = "", at_safe: bool = True
) -> Callable[[F], F]:
    """Register a function that evaluates its arguments itself: it is called with (evaluator, call)."""

    def register(run: F) -> F:
        _REGISTRY[name] = Function(
            name=name,
            run=run,
            params=tuple(takes.values()),
            names=tuple(takes),
            variadic=optional,
            returns=ValueType.VECTOR,
            summary=inspect.getdoc(run) or "",
            feature=feature,
            raw=True,
            at_safe=at_safe,
        )
        return run

    return register


def _plain(hint: Any) -> Any:
    """`X | None` -> X."""
    return next((part for part in typing.get_args(hint) if part in _TYPES), hint)


def registered() -> dict[str, Function]:
    return _REGISTRY
