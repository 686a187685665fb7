"""What the file says of a service stands in its row."""

from tocsin.web.api.metrics_view import MetricsView
from tocsin.web.api.services import service_rows


def test_a_declared_service_shows_whose_it_is_and_where_to_look() -> None:
    said = {"owner": "web", "tier": "1", "runbook": "https://wiki.example/shop", "repository": "https://git.example/shop"}
    [row] = service_rows([], [], MetricsView(), {"shop": said}, ("warning", "critical"))
    assert {name: getattr(row, name) for name in said} == said
    assert (row.name, row.state) == ("shop", "ok")
