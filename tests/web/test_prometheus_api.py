"""Prometheus's HTTP API: what Grafana and promtool ask, traps included. Texts are those of Prometheus 3.5."""

from __future__ import annotations

import gzip

import orjson
import pytest

from tocsin.web.forms import Parameters
from tocsin.web.problem import Refused
from tocsin.web.prometheus.params import MAX_MS, limit_parameter, parse_time_ms, unescape_name

NOW_S = 1_700_000_000


@pytest.fixture
def filled(house):
    house.add(
        {
            "__name__='up', job='a', instance='1'": [1, 1, 1, 1],
            "__name__='up', job='a', instance='2'": [1, 1, 0, 0],
            "__name__='http.requests', job='b'": [1, 2, 3, 4],
        }
    )
    house.store.set_metadata("up", "gauge", "Whether it is up.")
    return house


async def data(client, path, **query):
    answer = await client.get(path, query=query)
    assert answer.status == 200, answer.text
    assert answer.json()["status"] == "success"
    return answer.json()["data"]


async def test_save_and_test_in_grafana_evaluates_at_epoch_four(filled):
    answer = await filled.client.post("/api/v1/query", form={"query": "1+1", "time": "4"})
    assert answer.json() == {"status": "success", "data": {"resultType": "scalar", "result": [4, "2"]}}


async def test_instant_and_range_queries_by_get_and_by_form(filled):
    for answer in (
        await filled.client.get("/api/v1/query", query={"query": "sum(up)", "time": NOW_S}),
        await filled.client.post("/api/v1/query", form={"query": "sum(up)", "time": NOW_S}),
    ):
        assert answer.json()["data"] == {"resultType": "vector", "result": [{"metric": {}, "value": [NOW_S, "1"]}]}
    found = await data(filled.client, "/api/v1/query_range", query="sum(up)", start=NOW_S - 30, end=NOW_S, step="15s")
    assert found["result"][0]["values"] == [[NOW_S - 30, "2"], [NOW_S - 15, "1"], [NOW_S, "1"]]


@pytest.mark.parametrize(
    ("path", "query", "status", "kind", "text"),
    [
        ("query", {"query": "sum("}, 400, "bad_data",
         'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'),
        ("query", {"query": "up", "time": "x"}, 400, "bad_data",
         """invalid parameter "time": invalid time value for 'time': cannot parse "x" to a valid timestamp"""),
        ("query", {"query": "up", "timeout": "x"}, 400, "bad_data",
         'invalid parameter "timeout": cannot parse "x" to a valid duration'),
        ("query_range", {"query": "up", "start": "2", "end": "1", "step": "1"}, 400, "bad_data",
         'invalid parameter "end": end timestamp must not be before start time'),
        ("query_range", {"query": "up", "start": "1", "end": "2", "step": "0"}, 400, "bad_data",
         'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer'),
        ("query_range", {"query": "up", "start": "0", "end": "11001", "step": "1"}, 400, "bad_data",
         "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"),
        ("series", {}, 400, "bad_data", "no match[] parameter provided"),
        ("series", {"match[]": '{a=~".*"}'}, 400, "bad_data",
         'invalid parameter "match[]": match[] must contain at least one non-empty matcher'),
        ("query", {"query": "up + on(job) up", "time": str(NOW_S)}, 422, "execution", None),
    ],
)  # fmt: skip
async def test_errors_have_upstreams_status_type_and_text(filled, path, query, status, kind, text):
    answer = await filled.client.get(f"/api/v1/{path}", query=query)
    assert (answer.status, answer.json()["status"], answer.json()["errorType"]) == (status, "error", kind), answer.text
    if text:
        assert answer.json()["error"] == text


async def test_label_values_answer_405_to_post(filled):
    assert (await filled.client.post("/api/v1/label/job/values")).status == 405
    assert (await filled.client.post("/api/v1/metadata")).status == 405
    assert (await filled.client.post("/api/v1/labels", form={})).status == 200


async def test_names_and_series_honour_match_and_limit(filled):
    assert await data(filled.client, "/api/v1/labels") == ["__name__", "instance", "job"]
    assert await data(filled.client, "/api/v1/label/job/values", **{"match[]": "up"}) == ["a"]
    assert await data(filled.client, "/api/v1/label/__name__/values") == ["http.requests", "up"]
    answer = await filled.client.get("/api/v1/series", query={"match[]": "up", "limit": "1"})
    assert (len(answer.json()["data"]), answer.json()["warnings"]) == (1, ["results truncated due to limit"])
    unlimited = await data(filled.client, "/api/v1/series", **{"match[]": '{__name__=~".+"}', "limit": "0"})
    assert len(unlimited) == 3


async def test_utf8_names_come_escaped(filled):
    filled.add({"__name__='x', **{'http.method': 'GET'}": [1]})
    assert await data(filled.client, "/api/v1/label/U__http_2e_method/values") == ["GET"]


async def test_metadata_by_metric(filled):
    assert await data(filled.client, "/api/v1/metadata", metric="up") == {
        "up": [{"type": "gauge", "help": "Whether it is up.", "unit": ""}]
    }


async def test_the_exemplar_probe_in_milliseconds_is_answered_with_an_empty_list(filled):
    found = await data(filled.client, "/api/v1/query_exemplars", query="test", start=NOW_S * 1000, end=NOW_S * 1000 + 1)
    assert found == []


async def test_buildinfo_is_that_of_prometheus_without_features(filled):
    info = await data(filled.client, "/api/v1/status/buildinfo")
    assert set(info) == {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"}
    assert info["version"].startswith("3.5.0+tocsin.")


async def test_rules_alerts_and_targets_are_the_cores_without_our_own_fields(filled):
    rule = {
        "state": "firing", "name": "Down", "query": "up == 0", "duration": 0, "keepFiringFor": 0, "labels": {}, "annotations": {},
        "alerts": [{"labels": {"alertname": "Down"},
                    "annotations": {}, "state": "firing", "activeAt": "x", "value": "0e+00", "tocsin": 1}],
        "health": "ok", "evaluationTime": 0, "lastEvaluation": "x", "type": "alerting", "tocsin": {"id": "r1"},
    }  # fmt: skip
    group = {"name": "g", "file": "f", "interval": 60, "limit": 0, "rules": [rule], "evaluationTime": 0, "lastEvaluation": "x"}
    filled.core.answers["rules.state"] = {"groups": [group], "alerts": []}
    assert "tocsin" not in str(await data(filled.client, "/api/v1/rules"))
    assert (await data(filled.client, "/api/v1/rules", type="record"))["groups"] == []
    assert (await data(filled.client, "/api/v1/rules", exclude_alerts="true"))["groups"][0]["rules"][0]["alerts"] == []
    assert (await data(filled.client, "/api/v1/alerts"))["alerts"][0]["labels"] == {"alertname": "Down"}
    assert (await filled.client.get("/api/v1/rules?type=x")).status == 400
    assert set(await data(filled.client, "/api/v1/targets")) == {"activeTargets", "droppedTargets", "droppedTargetCounts"}


async def test_large_answers_are_compressed_when_the_client_takes_it(filled):
    filled.add({f"__name__='many', n='{n}'": [1] for n in range(200)})
    answer = await filled.client.get("/api/v1/series", query={"match[]": "many"}, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(orjson.loads(gzip.decompress(answer.body))["data"]) == 200
    refused = await filled.client.get("/api/v1/series", query={"match[]": "many"}, headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


async def test_format_and_parse_query(filled):
    assert await data(filled.client, "/api/v1/format_query", query="sum  by(job)(up)") == "sum by (job) (up)"
    tree = await data(filled.client, "/api/v1/parse_query", query='rate(up{a="b"}[5m] offset 1m) > bool 1')
    assert tree["type"] == "binaryExpr" and tree["bool"] is True
    assert tree["lhs"]["func"] == {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"}
    selector = tree["lhs"]["args"][0]
    assert (selector["type"], selector["range"], selector["offset"]) == ("matrixSelector", 300_000, 60_000)


async def test_a_query_text_beyond_the_limit_is_refused(filled):
    answer = await filled.client.post("/api/v1/query", form={"query": "1" + " " * 2_000_000})
    assert answer.status == 400


async def test_ready_says_what_is_missing_while_the_core_is_away(filled):
    assert (await filled.client.get("/-/ready")).status == 200
    filled.core.answers.pop("status.brief")
    filled.clock.t_ms += 10_000
    assert (await filled.client.get("/-/healthy")).text == "Tocsin is Healthy.\n"


def test_instants_in_every_spelling():
    assert parse_time_ms("1.5") == 1500
    assert parse_time_ms("2015-06-03T13:21:58.555Z") == 1433337718555
    assert parse_time_ms("2015-06-03T14:21:58.555+01:00") == 1433337718555
    assert parse_time_ms("1e300") == MAX_MS
    assert parse_time_ms("-292273086-05-16T16:47:06Z") < 0
    for text in ("", "now", "2015-13-01T00:00:00Z", "1_0", " 1", "2015-06-03 13:21:58Z"):
        with pytest.raises(ValueError):
            parse_time_ms(text)


def test_limits_are_read_as_upstream_reads_them():
    assert limit_parameter(Parameters([])) == 0
    assert limit_parameter(Parameters([("limit", "7")])) == 7
    for text in ("x", "-1", "1.5"):
        with pytest.raises(Refused):
            limit_parameter(Parameters([("limit", text)]))


@pytest.mark.parametrize(
    ("escaped", "name"),
    [("U__http_2e_x", "http.x"), ("job", "job"), ("U__a__b", "a_b"), ("U__", ""), ("U___zz_", "U___zz_"), ("U___1F600_", "😀"),
     ("U__a_", "U__a_")],
)  # fmt: skip
def test_escaped_names(escaped, name):
    assert unescape_name(escaped) == name
