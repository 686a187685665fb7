"""kubernetes_sd: the API server is listed once and then watched; targets follow within seconds.

list ──resourceVersion──▶ watch ──ADDED, MODIFIED, DELETED──▶ objects ──groups_of_role──▶ targets
  ▲────410 Gone, an error────┘
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tocsin.clock import Clock
from tocsin.collect.api_client import ApiClient, ApiFailed
from tocsin.collect.discover import DiscoveryFailed
from tocsin.collect.kubernetes_targets import Object, groups_of_role, key_of
from tocsin.collect.target import HttpSettings, KubernetesDiscovery, TargetGroup
from tocsin.errors import ConfigError
from tocsin.formats.yaml_tree import parse_yaml
from tocsin.log import get_log
from tocsin.model.httpclient import Tls

log = get_log("collect.kubernetes")

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PATHS = {
    "nodes": "/api/v1",
    "pods": "/api/v1",
    "services": "/api/v1",
    "endpoints": "/api/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "ingresses": "/apis/networking.k8s.io/v1",
}
_ROLES = {
    "node": ("nodes",),
    "pod": ("pods",),
    "service": ("services",),
    "endpoints": ("endpoints", "services", "pods"),
    "endpointslice": ("endpointslices", "services", "pods"),
    "ingress": ("ingresses",),
}
_SELECTOR_ROLES = {"nodes": "node", "pods": "pod", "services": "service", "endpoints": "endpoints",
                   "endpointslices": "endpointslice", "ingresses": "ingress"}  # fmt: skip
_PAGE = 500
_FIRST_S = 30.0
_RETRY_S = (1.0, 30.0)
_WATCH_S = 300
_GONE = 410


class KubernetesWatch:
    """One discovery: its objects, kept current by tasks that live until `close()`."""

    def __init__(self, discovery: KubernetesDiscovery, clock: Clock, *, account: Path = _SERVICE_ACCOUNT) -> None:
        self._discovery = discovery
        self._clock = clock
        self._account = account
        self._shown: tuple[TargetGroup, ...] = ()
        self._changed = True
        self._parts: dict[tuple[str, str], dict[str, Object]] = {}
        self._errors: dict[tuple[str, str], str] = {}
        self._client: ApiClient | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._looked: dict[tuple[str, str], asyncio.Event] = {}
        """Set when the first list came, or failed."""
        self._listed: dict[tuple[str, str], bool] = {}

    async def groups(self) -> tuple[TargetGroup, ...]:
        """Targets as they are now; the first call waits for the lists. Raises DiscoveryFailed."""
        if not self._tasks:
            self._start()
        try:
            async with asyncio.timeout(_FIRST_S):
                for key, looked in self._looked.items():
                    await looked.wait()
                    if not self._listed[key]:
                        raise DiscoveryFailed(self._errors.get(key, "not listed yet"))
        except TimeoutError:
            raise DiscoveryFailed(f"{self._discovery.api_server or 'the cluster'}: no list within {_FIRST_S:.0f} s") from None
        if self._changed:
            self._changed = False
            objects: dict[str, dict[str, Object]] = {}
            for (resource, _), found in self._parts.items():
                objects.setdefault(resource, {}).update(found)
            role, attach_node = self._discovery.role, self._discovery.attach_node
            # Ten thousand pods are some 300 ms of work: not on the core's loop.
            self._shown = await asyncio.to_thread(groups_of_role, role, objects, attach_node=attach_node)
        return self._shown

    @property
    def error(self) -> str:
        """What is wrong with the watches now; the objects are as last seen."""
        return "; ".join(dict.fromkeys(self._errors.values()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._client is not None:
            await self._client.close()

    def _start(self) -> None:
        base, http, own = connection_of(self._discovery, self._account)
        self._client = ApiClient(base, http)
        names = self._discovery.namespaces or ((own,) if self._discovery.own_namespace and own else ("",))
        resources = list(_ROLES[self._discovery.role])
        if self._discovery.attach_node:
            resources.append("nodes")
        for resource in dict.fromkeys(resources):
            for namespace in ("",) if resource == "nodes" else names:
                key = (resource, namespace)
                self._parts[key], self._looked[key], self._listed[key] = {}, asyncio.Event(), False
                self._tasks.append(asyncio.create_task(self._follow(self._client, key), name=f"kubernetes-{resource}"))

    # -- one resource --------------------------------------------------------------------------------------------------

    async def _follow(self, client: ApiClient, key: tuple[str, str]) -> None:
        """List and watch, again and again. Until cancelled."""
        wait_s, version = _RETRY_S[0], ""
        while True:
            try:
                if not version:
                    version = await self._list(client, key)
                self._errors.pop(key, None)
                self._listed[key] = True
                self._looked[key].set()
                version = await self._watch(client, key, version)
                wait_s = _RETRY_S[0]
            except ApiFailed as error:
                if error.status == _GONE:
                    version = ""
                    continue
                if self._errors.get(key) != str(error):
                    log.warning("Kubernetes cannot be watched; its last known objects stay", error=str(error))
                self._errors[key] = str(error)
                self._looked[key].set()
                version = ""  # what happened meanwhile is in the next list
                await self._clock.sleep_until_ms(self._clock.now_ms() + round(wait_s * 1000))
                wait_s = min(wait_s * 2, _RETRY_S[1])

    async def _list(self, client: ApiClient, key: tuple[str, str]) -> str:
        """All objects, page by page; the version to watch from."""
        found: dict[str, Object] = {}
        params = {**self._selectors(key[0]), "limit": str(_PAGE)}
        while True:
            page = await client.json(_path(key), params)
            metadata = page.get("metadata") or {} if isinstance(page, dict) else {}
            for entry in page.get("items") or () if isinstance(page, dict) else ():
                found[key_of(entry)] = entry
            if not metadata.get("continue"):
                break
            params["continue"] = str(metadata["continue"])
        if not metadata.get("resourceVersion"):
            raise ApiFailed(200, f"{_path(key)}: the answer is not a Kubernetes list")
        self._parts[key], self._changed = found, True
        return str(metadata["resourceVersion"])

    async def _watch(self, client: ApiClient, key: tuple[str, str], version: str) -> str:
        """Take changes until the server ends the watch; the version to go on from. Raises ApiFailed, 410 for too old."""
        params = {**self._selectors(key[0]), "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        async for event in client.lines(_path(key), {**params, "timeoutSeconds": str(_WATCH_S)}):
            kind, entry = event.get("type"), event.get("object") or {}
            if kind == "ERROR":
                raise ApiFailed(int(entry.get("code") or 0), str(entry.get("message", "the watch failed")))
            version = str((entry.get("metadata") or {}).get("resourceVersion") or version)
            self._changed = self._changed or kind != "BOOKMARK"
            if kind in ("ADDED", "MODIFIED"):
                self._parts[key][key_of(entry)] = entry
            elif kind == "DELETED":
                self._parts[key].pop(key_of(entry), None)
        return version

    def _selectors(self, resource: str) -> dict[str, str]:
        for role, label, field in self._discovery.selectors:
            if role == _SELECTOR_ROLES[resource]:
                return {name: text for name, text in (("labelSelector", label), ("fieldSelector", field)) if text}
        return {}


def _path(key: tuple[str, str]) -> str:
    resource, namespace = key
    return f"{_PATHS[resource]}{f'/namespaces/{namespace}' if namespace else ''}/{resource}"


# -- where the API server is -------------------------------------------------------------------------------------------


def connection_of(discovery: KubernetesDiscovery, account: Path) -> tuple[str, HttpSettings, str]:
    """Base URL, settings, own namespace: as given, from a kubeconfig, or from within a pod. Raises DiscoveryFailed."""
    if discovery.api_server:
        return discovery.api_server, discovery.http, ""
    try:
        if discovery.kubeconfig_file:
            return _from_kubeconfig(Path(discovery.kubeconfig_file))
        namespace = (account / "namespace").read_text().strip()
        tls = replace(discovery.http.tls, ca_file=str(account / "ca.crt"))
        # The token is read anew for each request: the kubelet rotates it.
        settings = replace(discovery.http, credentials_file=str(account / "token"), tls=tls)
    except (OSError, ValueError, ConfigError) as error:
        where = discovery.kubeconfig_file or "a pod (set api_server or kubeconfig_file outside of one)"
        raise DiscoveryFailed(f"no access to Kubernetes from {where}: {error}") from None
    return discovery.in_cluster, settings, namespace


def _from_kubeconfig(path: Path) -> tuple[str, HttpSettings, str]:
    """The current context of a kubeconfig. Raises OSError, ValueError, ConfigError."""
    document = parse_yaml(path.read_text(), str(path)).value
    if not isinstance(document, dict):
        raise ValueError("not a kubeconfig")
    context = _named(document, "contexts", "context", document.get("current-context"))
    cluster = _named(document, "clusters", "cluster", context.get("cluster"))
    user = _named(document, "users", "user", context.get("user"))
    if not cluster.get("server"):
        raise ValueError("the kubeconfig's cluster has no server")
    if "exec" in user or "auth-provider" in user:
        raise ValueError("the kubeconfig's user signs in by a program, which Tocsin does not run: use a token or a certificate")

    def file(name: str, of: Mapping[str, Any]) -> str:
        return str(path.parent / of[name]) if of.get(name) else ""

    def text(name: str, of: Mapping[str, Any]) -> str:
        return base64.b64decode(of[name]).decode() if of.get(name) else ""

    tls = Tls(
        ca=text("certificate-authority-data", cluster),
        ca_file=file("certificate-authority", cluster),
        cert=text("client-certificate-data", user),
        cert_file=file("client-certificate", user),
        key=text("client-key-data", user),
        key_file=file("client-key", user),
        server_name=str(cluster.get("tls-server-name") or ""),
        insecure_skip_verify=bool(cluster.get("insecure-skip-tls-verify")),
    )
    settings = HttpSettings(
        username=str(user.get("username") or ""),
        password=str(user.get("password") or ""),
        credentials=str(user.get("token") or ""),
        credentials_file=file("tokenFile", user),
        tls=tls,
    )
    return str(cluster["server"]), settings, str(context.get("namespace") or "default")


def _named(document: Mapping[str, Any], several: str, one: str, name: Any) -> Mapping[str, Any]:
    for entry in document.get(several) or ():
        if entry.get("name") == name:
            return entry.get(one) or {}
    raise ValueError(f"the kubeconfig has no {one} named {name!r}")
