"""`alerting.alertmanagers` of prometheus.yml: the Alertmanagers that our alerts are sent on to."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from tocsin.config.fields import DurationMs, Section, Text, problems_of
from tocsin.config.tree import Tree, path_text
from tocsin.errors import Problem
from tocsin.remote.alertmanager import AlertmanagerTarget


class _StaticConfig(Section):
    targets: tuple[Text, ...] = ()
    labels: dict[str, Text] = Field(default_factory=dict)


class _BasicAuth(Section):
    username: str = ""
    password: Text = ""


class _Authorization(Section):
    type: str = "Bearer"
    credentials: Text = ""


class AlertmanagerSection(Section):
    """One group of Alertmanagers. Discovery other than `static_configs` is not done."""

    scheme: Literal["http", "https"] = "http"
    path_prefix: str = ""
    timeout: DurationMs = 10_000
    api_version: Literal["v2"] = "v2"
    basic_auth: _BasicAuth | None = None
    authorization: _Authorization | None = None
    static_configs: tuple[_StaticConfig, ...] = Field(min_length=1)

    def targets(self) -> list[AlertmanagerTarget]:
        headers = {}
        if self.basic_auth is not None:
            pair = f"{self.basic_auth.username}:{self.basic_auth.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if self.authorization is not None:
            headers["Authorization"] = f"{self.authorization.type} {self.authorization.credentials}"
        prefix = "/" + self.path_prefix.strip("/") if self.path_prefix.strip("/") else ""
        return [
            AlertmanagerTarget(f"{self.scheme}://{target}{prefix}", headers, self.timeout / 1000)
            for entry in self.static_configs
            for target in entry.targets
        ]


class AlertingSection(Section):
    alertmanagers: tuple[AlertmanagerSection, ...] = ()
    alert_relabel_configs: tuple[dict[str, Any], ...] = ()


def read_alerting(raw: Mapping[str, Any] | None, tree: Tree) -> tuple[tuple[AlertmanagerTarget, ...], list[Problem]]:
    """Targets of the section `alerting`, and what is wrong with it (then there are no targets)."""
    try:
        section = AlertingSection.model_validate(raw or {})
    except ValidationError as error:
        return (), problems_of(error, tree, ("alerting",))
    problems = []
    if section.alert_relabel_configs:
        path = ("alerting", "alert_relabel_configs")
        problems.append(Problem(tree.place(path), path_text(path), "not used: alerts are sent on as they are", warning=True))
    return tuple(target for group in section.alertmanagers for target in group.targets()), problems
