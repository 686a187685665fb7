"""Dashboards that people save: responders write, everybody reads, nobody writes over somebody else unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tocsin.config.dashboards import read_dashboards
from tocsin.formats.yaml_tree import parse_yaml
from tocsin.web.boards.board import Dashboard
from tocsin.web.boards.grafana import classic

PATH = "/api/tocsin/v1/dashboards"
PANEL = {"title": "Queue", "queries": {"{{queue}}": "queue_length"}, "fill": "stacked", "unit": "ratio"}
BOARD = {"name": "night", "title": "At night", "sections": [{"title": "All", "panels": [PANEL]}]}


def with_title(title: str) -> dict[str, Any]:
    return {**BOARD, "title": title}


async def test_a_board_is_saved_read_by_all_changed_and_removed(house: Any) -> None:
    viewer, responder = await house.as_role("viewer"), await house.as_role("responder")
    assert (await viewer.post(PATH, json=BOARD)).status == 403
    made = await responder.post(PATH, json=BOARD)
    assert (made.status, made.json()["source"], made.json()["etag"]) == (201, "saved", "1")
    assert (await responder.post(PATH, json=BOARD)).status == 409, "a name is taken once"
    assert (await responder.post(PATH, json={**BOARD, "name": "hosts"})).status == 409, "those we ship keep theirs"

    listed = (await viewer.get(PATH)).json()["dashboards"]
    assert [(one["name"], one["source"]) for one in listed][0:2] == [("night", "saved"), ("checks", "built in")]
    one = await viewer.get(PATH + "/night")
    assert one.json()["sections"][0]["panels"][0]["queries"] == [{"name": "{{queue}}", "query": "queue_length"}]

    head = {"if-match": one.headers["etag"]}
    assert (await viewer.request("PUT", PATH + "/night", json=BOARD)).status == 403
    first = await responder.request("PUT", PATH + "/night", json=with_title("By night"), headers=head)
    assert (first.status, first.json()["title"]) == (200, "By night")
    late = await responder.request("PUT", PATH + "/night", json=with_title("Late"), headers=head)
    assert (late.status, late.headers["etag"]) == (412, '"2"')
    assert (await responder.request("DELETE", PATH + "/night", headers=head)).status == 412
    assert (await responder.request("DELETE", PATH + "/night")).status == 204
    assert (await viewer.get(PATH + "/night")).status == 404


async def test_another_name_is_another_address_unless_it_is_taken(house: Any) -> None:
    responder = await house.as_role("responder")
    await responder.post(PATH, json=BOARD)
    await responder.post(PATH, json={**BOARD, "name": "day"})
    assert (await responder.request("PUT", PATH + "/night", json={**BOARD, "name": "day"})).status == 409
    moved = await responder.request("PUT", PATH + "/night", json={**BOARD, "name": "evening"})
    assert (moved.status, moved.json()["name"]) == (200, "evening")
    assert (await responder.get(PATH + "/night")).status == 404


async def test_a_file_is_changed_in_the_file_and_what_is_wrong_is_said_with_its_place(house: Any) -> None:
    responder = await house.as_role("responder")
    board = Dashboard.model_validate({**BOARD, "name": "orders"})
    house.core.answers["config.state"]["dashboards"] = [board.model_dump()]
    refused = await responder.request("PUT", PATH + "/orders", json={**BOARD, "name": "orders"})
    assert (refused.status, "edit the file" in refused.text) == (404, True)
    wrong = {**BOARD, "sections": [{"title": "All", "panels": [{**PANEL, "queries": {"": "sum(("}}]}]}
    answer = await responder.post(PATH, json=wrong)
    assert (answer.status, "sections.0.panels.0.queries" in answer.text) == (400, True)
    assert (await responder.post(PATH, json={**BOARD, "sections": BOARD["sections"] * 300})).status == 400


async def test_a_saved_board_becomes_a_file_and_goes_to_grafana(house: Any) -> None:
    responder = await house.as_role("responder")
    await responder.post(PATH, json=BOARD)
    text = (await responder.get(PATH + "/night/file.yaml")).text
    assert yaml.safe_load(text) == BOARD, "what was typed and nothing else"
    tree = parse_yaml("dashboard_files: [night.yaml]\n", "tocsin.yaml")
    [board], problems = read_dashboards([Path("night.yaml")], {"night.yaml": text}, tree)
    assert (board.title, problems) == ("At night", [])
    panel = (await responder.get(PATH + "/night/grafana.json")).json()["panels"][1]
    assert panel["fieldConfig"]["defaults"]["custom"]["stacking"] == {"mode": "normal", "group": "A"}


async def test_what_was_done_stands_in_the_audit(house: Any) -> None:
    responder, admin = await house.as_role("responder"), await house.as_role("admin")
    await responder.post(PATH, json=BOARD)
    await responder.request("PUT", PATH + "/night", json=with_title("By night"))
    await responder.request("DELETE", PATH + "/night")
    events = (await admin.get("/api/tocsin/v1/audit")).json()["events"]
    verbs = [event["verb"] for event in events if event["verb"].startswith("board_")]
    assert verbs == ["board_removed", "board_changed", "board_saved"]


def test_strips_timelines_and_calendars_have_their_like_in_grafana() -> None:
    panels = [{"title": kind, "kind": kind, "queries": {"": "up"}} for kind in ("timeline", "strip", "calendar")]
    made = classic(Dashboard.model_validate({**BOARD, "sections": [{"title": "All", "panels": panels}]}))
    assert [panel["type"] for panel in made["panels"][1:]] == ["state-timeline", "status-history", "status-history"]
    assert made["panels"][3]["targets"][0]["interval"] == "1d"
