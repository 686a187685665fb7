"""`/api/v1/rules`, `alerts`, `targets`, `scrape_pools`, `targets/metadata`, `alertmanagers`: what the core knows at runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.model.labels import Labels, all_match, quote
from tocsin.web.answers import prometheus_answer
from tocsin.web.desk import Desk
from tocsin.web.forms import Parameters
from tocsin.web.prometheus.params import BadParameter, limit_parameter, selectors_parameter

# Ours besides Prometheus's in what the core answers: it would surprise strict readers.
_OWN_FIELDS = ("tocsin", "last_ms", "samples")
_ALERT_FIELDS = ("labels", "annotations", "state", "activeAt", "keepFiringSince", "value")


class RuntimeState:
    """Handlers about rules and targets."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def rules(self, request: Request) -> Response:
        """Rule groups with the state of every rule."""
        parameters = await Parameters.of(request)
        kind = parameters.get("type").lower()
        if kind not in ("", "alert", "record"):
            raise BadParameter("type", f"not supported value {quote(parameters.get('type'))}")
        with_alerts = not _flag(parameters, "exclude_alerts")
        selectors = selectors_parameter(parameters)
        names, groups, files = (set(parameters.all(f"{name}[]")) for name in ("rule_name", "rule_group", "file"))
        answer = []
        for group in await self._groups():
            if (groups and group["name"] not in groups) or (files and group["file"] not in files):
                continue
            rules = [
                _rule(rule, with_alerts=with_alerts)
                for rule in group["rules"]
                if (not kind or rule["type"] == {"alert": "alerting", "record": "recording"}[kind])
                and (not names or rule["name"] in names)
                and _selected(rule.get("labels", {}), selectors)
            ]
            if rules or not (names or selectors or kind):
                answer.append({**group, "rules": rules})
        return await prometheus_answer(request, self._paged(parameters, answer))

    async def alerts(self, request: Request) -> Response:
        """Pending and firing alerts of all rules."""
        found = [
            _alert(alert)
            for group in await self._groups()
            for rule in group["rules"]
            for alert in rule.get("alerts", ())
            if alert.get("state") in ("pending", "firing")
        ]
        return await prometheus_answer(request, {"alerts": found})

    async def targets(self, request: Request) -> Response:
        """Scrape targets with their health."""
        parameters = await Parameters.of(request)
        wanted, pool = parameters.get("state").lower(), parameters.get("scrapePool")
        state = await self._desk.state.ask("targets.state")
        active, dropped = _of_pool(state["activeTargets"], pool), _of_pool(state["droppedTargets"], pool)
        shows_dropped = wanted in ("", "any", "dropped")
        answer = {
            "activeTargets": active if wanted in ("", "any", "active") else [],
            "droppedTargets": dropped if shows_dropped else [],
            "droppedTargetCounts": state["droppedTargetCounts"] if shows_dropped else None,
        }
        return await prometheus_answer(request, answer)

    async def scrape_pools(self, request: Request) -> Response:
        """Names of the scrape jobs."""
        state = await self._desk.state.ask("targets.state")
        pools = {target["scrapePool"] for target in state["activeTargets"]} | set(state["droppedTargetCounts"])
        return await prometheus_answer(request, {"scrapePools": sorted(pools)})

    async def targets_metadata(self, request: Request) -> Response:
        """Metadata of metrics by target."""
        parameters = await Parameters.of(request)
        limit = limit_parameter(parameters)
        metric = parameters.get("metric")
        matchers = [m for text in [parameters.get("match_target")] if text for m in _target_matchers(text)]
        state = await self._desk.state.ask("targets.state")
        known = await self._desk.queries.for_client(request, lambda _stop: self._desk.parts.reader.metadata())
        answer: list[dict[str, Any]] = []
        for target in state["activeTargets"]:
            if not all_match(matchers, Labels(target["labels"])):
                continue
            for name in [metric] if metric else target.get("metrics", ()):
                if name in known:
                    kind, help_text, unit = known[name]
                    entry = {"target": target["labels"], "type": kind, "help": help_text, "unit": unit}
                    answer.append(entry if metric else {**entry, "metric": name})
        return await prometheus_answer(request, answer[:limit] if limit else answer)

    async def alertmanagers(self, request: Request) -> Response:
        """Alertmanagers that alerts are also sent to."""
        config = await self._desk.state.try_ask("config.state", {})
        active = [{"url": url} for url in config.get("alertmanagers", ())]
        return await prometheus_answer(request, {"activeAlertmanagers": active, "droppedAlertmanagers": []})

    async def _groups(self) -> Sequence[Mapping[str, Any]]:
        groups: Sequence[Mapping[str, Any]] = (await self._desk.state.ask("rules.state"))["groups"]
        return groups

    def _paged(self, parameters: Parameters, groups: list[dict[str, Any]]) -> dict[str, Any]:
        """`group_limit` and `group_next_token`, as Prometheus pages groups."""
        limit = limit_parameter(parameters, "group_limit")
        token = parameters.get("group_next_token")
        if token and not limit:
            raise BadParameter("group_next_token", "group_limit needs to be present in order to paginate over the groups")
        if token:
            keys = [_group_token(group) for group in groups]
            if token not in keys:
                raise BadParameter("group_next_token", f"invalid group_next_token {quote(token)}. were rule groups changed?")
            groups = groups[keys.index(token) :]
        if not limit or len(groups) <= limit:
            return {"groups": groups}
        return {"groups": groups[:limit], "groupNextToken": _group_token(groups[limit])}


def _group_token(group: Mapping[str, Any]) -> str:
    import hashlib

    return hashlib.sha1(f"{group['file']};{group['name']}".encode(), usedforsecurity=False).hexdigest()


def _rule(rule: Mapping[str, Any], *, with_alerts: bool) -> dict[str, Any]:
    out = {key: value for key, value in rule.items() if key not in _OWN_FIELDS}
    if rule["type"] == "alerting":
        out["alerts"] = [_alert(alert) for alert in rule.get("alerts", ())] if with_alerts else []
    return out


def _alert(alert: Mapping[str, Any]) -> dict[str, Any]:
    return {key: alert[key] for key in _ALERT_FIELDS if key in alert}


def _selected(labels: Mapping[str, str], selectors: Sequence[Sequence[Any]]) -> bool:
    return not selectors or any(all_match(matchers, labels) for matchers in selectors)


def _of_pool(targets: Sequence[Mapping[str, Any]], pool: str) -> list[dict[str, Any]]:
    """Targets of one scrape pool (of all for an empty name), without what only we know of them."""
    kept = [target for target in targets if not pool or target.get("scrapePool") == pool]
    return [{key: value for key, value in target.items() if key not in _OWN_FIELDS} for target in kept]


def _flag(parameters: Parameters, name: str) -> bool:
    return parameters.get(name).lower() in ("1", "t", "true")


def _target_matchers(text: str) -> Sequence[Any]:
    return selectors_parameter(Parameters([("match[]", text)]))[0]
