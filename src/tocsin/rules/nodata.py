"""`on_nodata: alert`: a rule whose series are gone says so, in an alert of its own label set."""

from __future__ import annotations

from tocsin.model.labels import Labels
from tocsin.model.ports import Queryable
from tocsin.model.rule import AlertRule
from tocsin.rules.alerting import Seen
from tocsin.rules.selects import Selects

_SILENT_FOR = "2m"


def has_data(selects: Selects, queryable: Queryable, t_ms: int) -> bool:
    """Whether any of the rule's selectors found a sample in the last two minutes. Raises QueryError."""
    for query in silence_queries(selects):
        vector = queryable.instant(query, t_ms).vector
        if vector is not None and not vector.labels:
            return True
    return not selects.items


def silence_queries(selects: Selects) -> list[str]:
    """For each selector of a rule the question whether it found nothing in the last two minutes."""
    return [f"absent_over_time({{{','.join(map(str, item.matchers))}}}[{_SILENT_FOR}])" for item in selects.items]


def no_data_alert(rule: AlertRule) -> dict[Labels, Seen]:
    """The rule's own labels (templates would have nothing to fill them with) and `nodata="true"`."""
    fixed = {name: text for name, text in rule.labels.items() if "{{" not in text}
    labels = Labels({**fixed, "alertname": rule.name, "nodata": "true"})
    summary = f"{rule.name} cannot be judged: its series have had no sample for {_SILENT_FOR}"
    runbook = rule.annotations.get("runbook_url", "")
    return {labels: Seen(float("nan"), {"summary": summary, **({"runbook_url": runbook} if runbook else {})})}
