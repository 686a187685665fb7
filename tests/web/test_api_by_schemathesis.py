"""The API under its own description: whatever schemathesis sends, nothing breaks and every answer has the stated shape."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import hypothesis
import jsonschema_rs
import orjson
import pytest
import schemathesis
from tests.web.test_tocsin_api import broken  # noqa: F401  (a fixture)

API = "/api/tocsin/v1"
ENDLESS = "/stream"
SETTINGS = hypothesis.settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def wrong(document: dict[str, Any], operation: dict[str, Any], answer: Any) -> str:
    """What is wrong with an answer; empty = nothing."""
    if answer.status >= 500:
        return f"status {answer.status}: {answer.text[:300]}"
    said = operation["responses"].get(str(answer.status), operation["responses"]["default"] if answer.status >= 400 else None)
    if said is None:
        return f"status {answer.status} is not described"
    kinds = said.get("content", {})
    if not kinds:
        return ""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind not in kinds:
        return f"content-type {kind!r}, described are {sorted(kinds)}"
    schema = jsonschema_rs.Draft202012Validator({**kinds[kind]["schema"], "components": document["components"]})
    found = next(iter(schema.iter_errors(orjson.loads(answer.body))), None)
    return f"{found.instance_path}: {found.message[:300]}" if found else ""


def try_one(operation: Any, described: dict[str, Any], document: dict[str, Any], send: Any) -> str:
    """What is wrong with the first bad answer of an operation; empty = nothing."""
    problems: list[str] = []

    def one(case: Any) -> None:
        if problems:
            return
        body = b"" if isinstance(case.body, schemathesis.core.NotSet) else json.dumps(case.body).encode()
        answer = send(case.method, API + case.formatted_path, body)
        if found := wrong(document, described, answer):
            problems.append(f"{found}   <- {case.formatted_path} {body[:200]!r}")

    SETTINGS(hypothesis.given(case=operation.as_strategy())(one))()
    return "".join(problems)


@pytest.mark.slow
async def test_no_input_breaks_the_api_and_every_answer_is_as_described(broken: Any) -> None:  # noqa: F811
    admin = await broken.as_role("admin")
    document = (await admin.get(API + "/openapi.json")).json()
    loop = asyncio.get_running_loop()

    def send(method: str, path: str, body: bytes) -> Any:
        coming = admin.request(method, path, body=body, headers={"content-type": "application/json"})
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(coming, 20), loop).result()

    def try_all() -> dict[str, str]:
        found = {}
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = result.ok()
            if operation.path != ENDLESS:
                described = document["paths"][operation.path][operation.method]
                found[f"{operation.method.upper()} {operation.path}"] = try_one(operation, described, document, send)
        return found

    problems = [f"{name}: {text}" for name, text in (await asyncio.to_thread(try_all)).items() if text]
    assert not problems, "\n".join(problems)
