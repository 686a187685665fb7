"""`alert:` of objectives -> their rule groups, or what is wrong with it and where."""

from __future__ import annotations

from tocsin.config.schema import OwnSections, SloSection
from tocsin.errors import ParseError, Problem
from tocsin.formats.gotemplate import TemplateError
from tocsin.formats.yaml_tree import Path, Tree, path_text
from tocsin.model.rule import RuleGroup
from tocsin.model.series import ValueType
from tocsin.promql.ast import type_of
from tocsin.promql.parser import parse
from tocsin.rules.errorcount import WINDOW, error_count
from tocsin.rules.expand import check_template
from tocsin.rules.objectives import BURNS, Objective, objective_groups, possible


def read_objectives(own: OwnSections, tree: Tree) -> tuple[tuple[RuleGroup, ...], list[Problem]]:
    """The groups of every objective that alerts. A rule that could never fire is left out, and a warning says so."""
    found: list[Objective] = []
    problems: list[Problem] = []
    for i, slo in enumerate(own.slos):
        if not slo.alert.enabled:
            continue
        read = _Reader(tree, ("slos", i), slo)
        objective = read.objective()
        problems += read.problems
        if all(problem.warning for problem in read.problems):
            found.append(objective)
    for objective in found:
        for severity in filter(None, (objective.page, objective.ticket)):
            if severity not in own.severities:
                text = f"there is no severity {severity!r}; `severities` are {', '.join(own.severities)}"
                problems.append(Problem(objective.place, "slos", text))
    return objective_groups(found), problems


class _Reader:
    def __init__(self, tree: Tree, path: Path, slo: SloSection) -> None:
        self._tree = tree
        self._path = path
        self._slo = slo
        self.problems: list[Problem] = []

    def objective(self) -> Objective:
        slo, alert = self._slo, self._slo.alert
        known = error_count(slo.expr) if slo.expr and not alert.errors else ""
        objective = Objective(
            name=slo.name,
            target=slo.target,
            good=slo.expr,
            check=slo.check,
            service=slo.service,
            page=alert.page,
            ticket=alert.ticket,
            for_ms=alert.for_,
            errors=alert.errors or known,
            same_labels=not alert.errors,
            min_errors=alert.min_errors,
            labels=alert.labels,
            annotations=alert.annotations,
            place=self._tree.place((*self._path, "alert")),
        )
        if slo.expr:
            self._expression(("expr",), slo.expr)
        self._guard(objective)
        self._templates()
        self._never(objective)
        return objective

    def _expression(self, below: Path, expr: str) -> None:
        """Windows of minutes to days are put into it."""
        if WINDOW not in expr:
            self._say(
                below,
                "`alert` compares two stretches of time, and this expression has no $window to put them in: write "
                "sum(rate(errors_total[$window])) where it says [5m], or leave `alert` out",
            )
            return
        try:
            tree = parse(expr.replace(WINDOW, "1h"))
        except ParseError as error:
            if below != ("expr",):  # that one is told with the objective
                self._say(below, f"not PromQL: {error}")
            return
        if type_of(tree) is not ValueType.VECTOR:
            self._say(
                below,
                "`alert` needs an expression of series: this is a number, the same for all times; see scalar() and vector()",
            )

    def _guard(self, objective: Objective) -> None:
        alert = self._slo.alert
        if alert.errors and self._slo.check:
            self._say(("alert", "errors"), "a check counts no errors: it has confirmed its failure before it is down")
        elif alert.errors:
            self._expression(("alert", "errors"), alert.errors)
        elif self._slo.expr and alert.min_errors and not objective.errors:
            self._say(
                ("alert",),
                "`expr` does not tell how many errors there were (it is no `1 - bad / all` and no `good / all` of counters): "
                "one at little traffic may fire it; say `errors: sum(increase(errors_total[$window]))`, or `min_errors: 0`",
                warning=True,
            )

    def _templates(self) -> None:
        for section in ("labels", "annotations"):
            for name, text in getattr(self._slo.alert, section).items():
                try:
                    check_template(text)
                except TemplateError as error:
                    self._say(("alert", section, name), f"not a template: {error}")

    def _never(self, objective: Objective) -> None:
        """What cannot fire: where a tenth may fail, the budget burns ten times too fast at the worst."""
        wanted = [burn for burn in BURNS if objective.severity(burn)]
        never = [burn for burn in wanted if not possible(burn, objective.target)]
        if not wanted:
            self._say(("alert",), "neither `page` nor `ticket`: nothing is left to tell; leave `alert` out")
        elif never:
            rules = " and ".join(f"{burn.factor:g}x over {burn.window}" for burn in never)
            text = (
                f"with a target of {objective.target:g} the budget burns at most {1 / objective.budget:.3g} times too fast, "
                f"when everything fails: the rule for {rules} could never fire and is left out"
            )
            self._say(("target",), text, warning=True)

    def _say(self, below: Path, message: str, *, warning: bool = False) -> None:
        path = (*self._path, *below)
        self.problems.append(Problem(self._tree.place(path), path_text(path), message, warning=warning))
