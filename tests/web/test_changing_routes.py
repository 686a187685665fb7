"""No route that changes something can be added without saying how the audit hears of it."""

from __future__ import annotations

from typing import Any

from tests.web.changing_routes import API, CHANGES, NOT_FOR_PEOPLE

_SAFE = {"GET", "HEAD", "OPTIONS"}


def test_every_changing_route_is_audited_or_says_why_not(house: Any) -> None:
    known = {(change.route, change.method) for change in CHANGES}
    lost = []
    for endpoint in house.client.app.endpoints:
        methods = set(endpoint.methods or ()) - _SAFE
        if endpoint.path not in NOT_FOR_PEOPLE and methods and not any((endpoint.path, method) in known for method in methods):
            lost.append((endpoint.path, sorted(methods)))
    assert lost == [], "add them to tests/web/changing_routes.py"
    paths = {endpoint.path for endpoint in house.client.app.endpoints}
    assert {route for route, _ in known} | set(NOT_FOR_PEOPLE) <= paths, "a route in the lists is gone"


def test_every_write_that_edits_a_thing_takes_if_match(house: Any) -> None:
    """What only adds or removes, or carries its own `version`, has nothing that two people could write over each other."""
    edits = {"PUT", "PATCH"}
    for endpoint in house.client.app.endpoints:
        if endpoint.path.startswith(API) and edits & set(endpoint.methods or ()):
            assert endpoint.mark is not None, endpoint.path
    marked = {endpoint.path.removeprefix(API) for endpoint in house.client.app.endpoints if endpoint.mark is not None}
    for path in ("/silences/{id}", "/maintenance/{id}/end", "/checks/{id}/pause", "/incidents/{number:int}/resolve"):
        assert path in marked
