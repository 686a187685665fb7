"""A small Kubernetes API server: lists, pages, watches, tokens; and objects to serve."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson


def pod(name: str, ip: str, ports: list[dict[str, Any]], *, namespace: str = "shop", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": {"app.kubernetes.io/name": "web"},
                     "annotations": {"prometheus.io/scrape": "true"}, "resourceVersion": "5",
                     "ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]},
        "spec": {"nodeName": "node-a", "containers": [{"name": "app", "image": "shop:7", "ports": ports}],
                 "initContainers": [{"name": "prepare", "image": "prepare:1"}]},
        "status": {"podIP": ip, "hostIP": "10.0.0.1", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                   "containerStatuses": [{"name": "app", "containerID": "containerd://abc"}], **status},
    }  # fmt: skip


NODE = {
    "metadata": {"name": "node-a", "labels": {"topology.kubernetes.io/zone": "a"}, "annotations": {"x/y": "z"}},
    "spec": {"providerID": "cloud://1"},
    "status": {"addresses": [{"type": "Hostname", "address": "node-a"}, {"type": "InternalIP", "address": "10.0.0.1"}],
               "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}},
}  # fmt: skip
SERVICE = {
    "metadata": {"name": "web", "namespace": "shop", "labels": {"team": "a"}, "annotations": {"note": "n"}},
    "spec": {"type": "LoadBalancer", "clusterIP": "10.9.0.1", "loadBalancerIP": "1.2.3.4",
             "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
}  # fmt: skip
ENDPOINTS = {
    "metadata": {"name": "web", "namespace": "shop", "labels": {"l": "v"}},
    "subsets": [{
        "addresses": [{"ip": "10.1.0.2", "nodeName": "node-a", "hostname": "h",
                       "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop"}}],
        "notReadyAddresses": [{"ip": "10.1.0.3"}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }],
}  # fmt: skip
SLICE = {
    "metadata": {"name": "web-abc", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "endpoints": [{
        "addresses": ["10.1.0.2"], "conditions": {"ready": True, "serving": True, "terminating": False}, "nodeName": "node-a",
        "zone": "a", "hostname": "h", "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop"},
    }],
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}],
}  # fmt: skip
INGRESS = {
    "metadata": {"name": "front", "namespace": "shop", "labels": {"a": "b"}, "annotations": {"c": "d"}},
    "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["*.shop.example"]}],
             "rules": [{"host": "www.shop.example", "http": {"paths": [{"path": "/a"}, {"path": ""}]}},
                       {"host": "plain.example"}]},
}  # fmt: skip


@dataclass
class FakeKubernetes:
    """Objects by resource. `changes` are told to the next watches of that resource; `failing` answers instead of everything."""

    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    token: str = ""
    failing: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    _watchers: dict[str, list[asyncio.Queue[Any]]] = field(default_factory=dict)

    def tell(self, resource: str, kind: str, entry: dict[str, Any]) -> None:
        for queue in self._watchers.get(resource, []):
            queue.put_nowait({"type": kind, "object": entry})

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            parts = urlsplit(head.split(" ")[1])
            params = dict(parse_qsl(parts.query))
            self.asked.append((parts.path, params))
            resource = parts.path.rpartition("/")[2]
            if self.token and f"Bearer {self.token}" not in head:
                await _send(writer, 401, {"message": "Unauthorized"})
            elif self.failing:
                await _send(writer, self.failing, {"message": "on purpose"})
            elif "watch" in params:
                return await self._watch(writer, resource)
            else:
                await self._list(writer, resource, params)

    async def _list(self, writer: asyncio.StreamWriter, resource: str, params: dict[str, str]) -> None:
        """One object a page, so that paging is always on trial."""
        entries, at = self.objects.get(resource, []), int(params.get("continue", 0))
        more = {"continue": str(at + 1)} if at + 1 < len(entries) else {}
        await _send(writer, 200, {"metadata": {"resourceVersion": "7", **more}, "items": entries[at : at + 1]})

    async def _watch(self, writer: asyncio.StreamWriter, resource: str) -> None:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._watchers.setdefault(resource, []).append(queue)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            line = orjson.dumps(await queue.get()) + b"\n"
            half = len(line) // 2
            for part in (line[:half], line[half:]):  # a line comes in pieces
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()


async def _send(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    data = orjson.dumps(body)
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    await writer.drain()
