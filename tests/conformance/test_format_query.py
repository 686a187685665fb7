"""`/api/v1/format_query`: random expressions are laid out as a real Prometheus lays them out."""

from __future__ import annotations

import random

import pytest
from tests.conformance.promql_peer import prometheus
from tests.conformance.promql_random import QueryMaker

from tocsin.errors import ParseError
from tocsin.promql.parser import parse
from tocsin.promql.printer import format_query

pytestmark = pytest.mark.peer

FEATURES = ("promql-experimental-functions", "promql-duration-expr")


def test_every_expression_is_laid_out_as_prometheus_does(tmp_path):
    maker, differences, compared = QueryMaker(random.Random(20)), [], 0
    with prometheus(tmp_path / "p", f"--enable-feature={','.join(FEATURES)}") as peer:
        for _ in range(600):
            query = maker.query()
            try:
                ours = format_query(parse(query, frozenset(FEATURES)))
            except ParseError:
                continue
            answer = peer.get("/api/v1/format_query", query=query)
            if answer["status"] == "success":
                compared += 1
                if answer["data"] != ours:
                    differences.append(f"{query}\n{answer['data']}\n{ours}")
    assert compared > 400
    assert not differences, f"{len(differences)} of {compared}:\n" + "\n\n".join(differences[:5])
