"""The parser says yes and no to the same texts as the real Prometheus, and in the same words."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from tests.conformance.promql_compare import FLAGS
from tests.conformance.promql_mutations import corpus
from tests.conformance.promql_peer import prometheus

from tocsin.errors import ParseError
from tocsin.promql.parser import parse

TEXTS = int(os.environ.get("TOCSIN_VERDICTS", "5000"))
FEATURES = frozenset({"promql-experimental-functions", "promql-duration-expr"})


def our_verdict(query: str, features: frozenset[str]) -> str | None:
    try:
        parse(query, features)
    except ParseError as error:
        return str(error)
    return None


@pytest.mark.peer
@pytest.mark.parametrize("features", [FEATURES, frozenset()], ids=["with experimental features", "without"])
def test_verdicts_on_mutated_queries_are_those_of_prometheus(tmp_path: Path, features: frozenset[str]) -> None:
    texts = corpus(random.Random(7 + len(features)), TEXTS)
    flags = (FLAGS,) if features else ()
    wrong, worded_otherwise, valid = [], [], 0
    with prometheus(tmp_path, *flags) as client:
        for text in filter(None, texts):
            theirs = client.parse_error(text)
            theirs = theirs and theirs.replace('invalid parameter "query": ', "")
            ours = our_verdict(text, features)
            valid += theirs is None
            if (theirs is None) != (ours is None):
                wrong.append((text, theirs, ours))
            elif theirs != ours and "<Item " not in str(theirs):  # Prometheus has no name for the token @
                worded_otherwise.append((text, theirs, ours))
    assert not wrong, wrong[:5]
    assert len(worded_otherwise) <= 0.002 * TEXTS, worded_otherwise[:10]
    assert 0.1 * TEXTS < valid < 0.6 * TEXTS, valid


def test_verdicts_agree_with_the_promql_parser_package_where_it_knows_the_syntax() -> None:
    """An independent parser (of a later Prometheus, so it accepts a little more)."""
    package = pytest.importorskip("promql_parser")
    refused = []
    accepted = 0
    for text in filter(None, corpus(random.Random(11), 1500)):
        if our_verdict(text, FEATURES) is not None:
            continue
        accepted += 1
        try:
            package.parse(text)
        except ValueError as error:
            refused.append((text, str(error)))
    assert accepted > 300
    assert len(refused) < 0.1 * accepted, refused[:20]
