"""Dashboards are files: what one may say, and what those we ship become."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tocsin.web.boards.board import Dashboard
from tocsin.web.boards.builtin import builtin
from tocsin.web.boards.grafana import classic


def board(**panel: object) -> dict[str, object]:
    return {"name": "shop", "title": "Shop", "sections": [{"title": "All", "panels": [{"title": "Up", **panel}]}]}


@pytest.mark.parametrize(
    ("panel", "word"),
    [
        ({"queries": {"up": "sum(("}}, "unclosed|unexpected|parse"),
        ({"queries": {"up": 'up{service=~"$service"}'}}, r"uses \$service"),
        ({}, "at least one query"),
        ({"kind": "text"}, "needs `text`"),
        ({"queries": {"up": "up"}, "kind": "pie"}, "Input should be"),
        ({"queries": {"up": "up"}, "width": 40}, "less than or equal to 24"),
        ({"queries": {"up": "up"}, "colour": "red"}, "Extra inputs"),
    ],
)
def test_what_a_dashboard_may_not_say_is_refused_with_its_place(panel: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        Dashboard.model_validate(board(**panel))


def test_those_we_ship_can_be_read_and_have_names_of_their_own() -> None:
    assert set(builtin()) == {"checks", "databases", "hosts", "services", "tocsin"}
    for one in builtin().values():
        titles = [(section.title, panel.title) for section in one.sections for panel in section.panels]
        assert len(set(titles)) == len(titles)


def test_small_values_that_are_bad_are_red_from_below_in_grafana() -> None:
    made = classic(
        Dashboard.model_validate(
            board(queries={"up": "up"}, kind="stat", thresholds={"warning": 0.99, "critical": 0.9, "below": True})
        )
    )
    steps = made["panels"][1]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps == [{"color": "red", "value": None}, {"color": "orange", "value": 0.9}, {"color": "green", "value": 0.99}]


def test_a_panel_that_does_not_fit_begins_a_new_line() -> None:
    made = classic(
        Dashboard.model_validate(
            {
                "name": "a",
                "title": "A",
                "sections": [
                    {"title": "S", "panels": [{"title": str(i), "queries": {"": "up"}, "width": 10} for i in range(3)]},
                    {"title": "T", "panels": [{"title": "x", "kind": "text", "text": "hello"}]},
                ],
            }
        )
    )
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in made["panels"]]
    assert places == [(0, 0), (0, 1), (10, 1), (0, 9), (0, 17), (0, 18)]
