"""Which Alertmanagers our alerts go on to, now: static ones and discovered ones, relabelled; the forwarder is told of changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tocsin.clock import Clock, until_woken
from tocsin.collect.discover import Discoverer
from tocsin.collect.relabel import RelabelRule, relabel
from tocsin.collect.target import TargetGroup
from tocsin.config.alerting import AlertmanagerGroup
from tocsin.log import get_log
from tocsin.model.httpclient import HttpClient
from tocsin.remote.alertmanager import AlertmanagerTarget

log = get_log("alertmanagers")

_FAR_MS = 60_000


class AlertmanagerFinder:
    """Keeps the list; `apply` takes the configuration, `run()` looks again when a discovery is due."""

    def __init__(self, *, clock: Clock, found: Callable[[Sequence[AlertmanagerTarget]], None]) -> None:
        self._clock = clock
        self._found = found
        self._groups: list[tuple[AlertmanagerGroup, Discoverer]] = []
        self._known: tuple[AlertmanagerTarget, ...] = ()
        self._wake = asyncio.Event()

    def apply(self, groups: Sequence[AlertmanagerGroup]) -> None:
        """Static members count at once, discovered ones when they are found."""
        before = {group.job.name: (group, finder) for group, finder in self._groups}
        self._groups = [(group, self._finder(group, before.get(group.job.name))) for group in groups]
        self._known = ()
        self._tell()
        self._wake.set()

    def _finder(self, group: AlertmanagerGroup, before: tuple[AlertmanagerGroup, Discoverer] | None) -> Discoverer:
        """What a group that has not changed has found stays known."""
        return before[1] if before is not None and before[0].job == group.job else Discoverer(group.job, self._clock)

    async def run(self) -> None:
        """Look at discoveries as they come due; never returns."""
        while True:
            self._wake.clear()
            due = [finder for _, finder in self._groups if finder.next_ms() <= self._clock.now_ms()]
            if due:
                await asyncio.gather(*(finder.refresh() for finder in due))
                self._tell()
            next_ms = min((finder.next_ms() for _, finder in self._groups), default=self._clock.now_ms() + _FAR_MS)
            await until_woken(self._clock, self._wake, min(next_ms, self._clock.now_ms() + _FAR_MS))

    def _tell(self) -> None:
        found = tuple(target for group, finder in self._groups for target in targets_of(group, finder.groups()))
        if found != self._known or not found:
            self._known = found
            self._found(found)


def targets_of(group: AlertmanagerGroup, found: Sequence[TargetGroup]) -> list[AlertmanagerTarget]:
    """The members of a group; `relabel_configs` see Prometheus's `__address__`, `__scheme__` and `__alerts_path__`."""
    out: dict[str, AlertmanagerTarget] = {}
    rewrite = partial(rewritten, group.alert_relabel) if group.alert_relabel else None
    for members in found:
        for address in members.targets:
            start = {"__scheme__": group.job.scheme, "__alerts_path__": group.path, **dict(members.labels.pairs)}
            labels = relabel({**start, "__address__": address}, group.job.relabel)
            if labels is None:
                continue
            if not labels.get("__address__"):
                log.warning("a discovered Alertmanager has no address", group=group.job.name, discovered=address)
                continue
            path = "/" + labels.get("__alerts_path__", "").lstrip("/")
            url = f"{labels.get('__scheme__', 'http')}://{labels['__address__']}{path.removesuffix('/api/v2/alerts')}"
            suffix = "/api/v2/alerts" if path.endswith("/api/v2/alerts") else ""
            http = None if group.http == HttpClient() else group.http
            out[url] = AlertmanagerTarget(url, timeout_s=group.timeout_s, path=suffix, http=http, rewrite=rewrite)
    return list(out.values())


def rewritten(rules: Sequence[RelabelRule], labels: Mapping[str, str]) -> dict[str, str] | None:
    """An alert's labels after `alert_relabel_configs`; None = it is not sent."""
    return relabel(dict(labels), rules) or None
