"""Targets from Kubernetes objects, one function for each role. Pure. Labels are those of Prometheus's documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.collect.fields import address_text
from tocsin.collect.meta_labels import described, label_name
from tocsin.collect.target import TargetGroup
from tocsin.model.labels import Labels

Object = Mapping[str, Any]
Objects = Mapping[str, Mapping[str, Object]]
"""Objects by resource (pods, services, nodes, ...) and then by `namespace/name`."""

_META = "__meta_kubernetes_"


def groups_of_role(role: str, objects: Objects, *, attach_node: bool) -> tuple[TargetGroup, ...]:
    """The targets of every object of the role's resource."""
    nodes = objects.get("nodes", {}) if attach_node else {}
    match role:
        case "node":
            found = (_node(entry) for entry in objects["nodes"].values())
        case "service":
            found = (_service(entry) for entry in objects["services"].values())
        case "pod":
            found = (_pod(entry, nodes) for entry in objects["pods"].values())
        case "endpoints":
            found = (_endpoints(entry, objects, nodes) for entry in objects["endpoints"].values())
        case "endpointslice":
            found = (_endpointslice(entry, objects, nodes) for entry in objects["endpointslices"].values())
        case _:
            found = (_ingress(entry) for entry in objects["ingresses"].values())
    return tuple(group for groups in found for group in groups)


def key_of(entry: Object) -> str:
    metadata = entry.get("metadata") or {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def _group(role: str, entry: Object, address: str, common: Mapping[str, str], own: Mapping[str, str]) -> TargetGroup:
    labels = Labels({**common, **own})
    return TargetGroup((address,), labels, source=f"{role}/{key_of(entry)}/{address}/{hash(labels)}")


def _metadata(entry: Object) -> Mapping[str, Any]:
    return entry.get("metadata") or {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# -- node --------------------------------------------------------------------------------------------------------------

_ADDRESS_ORDER = ("InternalIP", "ExternalIP", "LegacyHostIP", "Hostname")


def _node(entry: Object) -> Iterator[TargetGroup]:
    status, name = entry.get("status") or {}, str(_metadata(entry).get("name", ""))
    addresses: dict[str, str] = {}
    for address in _list(status.get("addresses")):
        addresses.setdefault(str(address.get("type")), str(address.get("address")))
    chosen = next((addresses[kind] for kind in _ADDRESS_ORDER if kind in addresses), "")
    if not chosen:
        return
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 0)
    common = {
        f"{_META}node_name": name,
        f"{_META}node_provider_id": str((entry.get("spec") or {}).get("providerID", "")),
        **described(f"{_META}node_", _metadata(entry)),
        **{f"{_META}node_address_{label_name(kind)}": address for kind, address in addresses.items()},
    }
    yield _group("node", entry, address_text(chosen, port), common, {"instance": name})


def _node_labels(name: Any, nodes: Mapping[str, Object]) -> dict[str, str]:
    """What `attach_metadata: {node: true}` adds."""
    node = nodes.get(f"/{name}")
    if node is None:
        return {}
    labels = {"labels": _metadata(node).get("labels")}
    return {f"{_META}node_name": str(name), **described(f"{_META}node_", labels)}


# -- service -----------------------------------------------------------------------------------------------------------


def _service_labels(entry: Object) -> dict[str, str]:
    return {
        f"{_META}service_name": str(_metadata(entry).get("name", "")),
        f"{_META}namespace": str(_metadata(entry).get("namespace", "")),
        **described(f"{_META}service_", _metadata(entry)),
    }


def _service(entry: Object) -> Iterator[TargetGroup]:
    spec, common = entry.get("spec") or {}, _service_labels(entry)
    kind = str(spec.get("type", "ClusterIP"))
    common[f"{_META}service_type"] = kind
    if kind == "ExternalName":
        common[f"{_META}service_external_name"] = str(spec.get("externalName", ""))
    else:
        common[f"{_META}service_cluster_ip"] = str(spec.get("clusterIP", ""))
    if kind == "LoadBalancer":
        common[f"{_META}service_loadbalancer_ip"] = str(spec.get("loadBalancerIP", ""))
    host = f"{_metadata(entry).get('name')}.{_metadata(entry).get('namespace')}.svc"
    for port in _list(spec.get("ports")):
        own = {
            f"{_META}service_port_name": str(port.get("name", "")),
            f"{_META}service_port_number": str(port.get("port", "")),
            f"{_META}service_port_protocol": str(port.get("protocol", "TCP")),
        }
        yield _group("service", entry, f"{host}:{port.get('port')}", common, own)


# -- pod ---------------------------------------------------------------------------------------------------------------


def _pod_labels(entry: Object) -> dict[str, str]:
    metadata, spec, status = _metadata(entry), entry.get("spec") or {}, entry.get("status") or {}
    ready = next((str(c.get("status")).lower() for c in _list(status.get("conditions")) if c.get("type") == "Ready"), "unknown")
    controller: Object = next((owner for owner in _list(metadata.get("ownerReferences")) if owner.get("controller")), {})
    return {
        f"{_META}pod_name": str(metadata.get("name", "")),
        f"{_META}pod_ip": str(status.get("podIP", "")),
        f"{_META}pod_ready": ready,
        f"{_META}pod_phase": str(status.get("phase", "")),
        f"{_META}pod_node_name": str(spec.get("nodeName", "")),
        f"{_META}pod_host_ip": str(status.get("hostIP", "")),
        f"{_META}pod_uid": str(metadata.get("uid", "")),
        f"{_META}pod_controller_kind": str(controller.get("kind", "")),
        f"{_META}pod_controller_name": str(controller.get("name", "")),
        **described(f"{_META}pod_", metadata),
    }


def _containers(entry: Object) -> Iterator[tuple[Object, bool]]:
    """Containers and whether each is an init container."""
    spec = entry.get("spec") or {}
    yield from ((container, False) for container in _list(spec.get("containers")))
    yield from ((container, True) for container in _list(spec.get("initContainers")))


def _container_labels(entry: Object, container: Object, port: Object | None, *, init: bool | None) -> dict[str, str]:
    """`init` None: the roles of endpoints do not say."""
    status = entry.get("status") or {}
    states = [*_list(status.get("containerStatuses")), *_list(status.get("initContainerStatuses"))]
    name = str(container.get("name", ""))
    out = {f"{_META}pod_container_name": name, f"{_META}pod_container_image": str(container.get("image", ""))}
    if init is not None:
        out[f"{_META}pod_container_init"] = "true" if init else "false"
        out[f"{_META}pod_container_id"] = next((str(s.get("containerID", "")) for s in states if s.get("name") == name), "")
    if port is not None:
        out[f"{_META}pod_container_port_name"] = str(port.get("name", ""))
        out[f"{_META}pod_container_port_number"] = str(port.get("containerPort", ""))
        out[f"{_META}pod_container_port_protocol"] = str(port.get("protocol", "TCP"))
    return out


def _pod(entry: Object, nodes: Mapping[str, Object]) -> Iterator[TargetGroup]:
    ip = str((entry.get("status") or {}).get("podIP", ""))
    if not ip:
        return  # starting, or evicted
    common = {**_pod_labels(entry), f"{_META}namespace": str(_metadata(entry).get("namespace", ""))}
    common |= _node_labels((entry.get("spec") or {}).get("nodeName"), nodes)
    for container, init in _containers(entry):
        ports = _list(container.get("ports"))
        for port in ports:
            own = _container_labels(entry, container, port, init=init)
            yield _group("pod", entry, address_text(ip, port.get("containerPort", 0)), common, own)
        if not ports:
            yield _group(
                "pod", entry, address_text(ip, 0).removesuffix(":0"), common, _container_labels(entry, container, None, init=init)
            )


# -- endpoints and endpoint slices -------------------------------------------------------------------------------------


class _Seen:
    """Pods behind a service, and the ports of theirs that it reaches."""

    def __init__(self, pods: Mapping[str, Object]) -> None:
        self._pods = pods
        self._ports: dict[str, set[Any]] = {}

    def labels(self, reference: Object | None, namespace: str, port: Any) -> dict[str, str]:
        """Labels of the pod that an endpoint is; empty for something else."""
        if not reference or reference.get("kind") != "Pod":
            return {}
        key = f"{reference.get('namespace') or namespace}/{reference.get('name')}"
        pod = self._pods.get(key)
        if pod is None:
            return {}
        self._ports.setdefault(key, set()).add(port)
        out = _pod_labels(pod)
        for container, _ in _containers(pod):
            for declared in _list(container.get("ports")):
                if declared.get("containerPort") == port:
                    return out | _container_labels(pod, container, declared, init=None)
        return out

    def others(self, role: str, entry: Object, common: Mapping[str, str]) -> Iterator[TargetGroup]:
        """The ports of those pods that the service does not reach are targets too."""
        for key, reached in self._ports.items():
            pod = self._pods[key]
            ip = str((pod.get("status") or {}).get("podIP", ""))
            for container in _list((pod.get("spec") or {}).get("containers")):
                for port in _list(container.get("ports")):
                    if ip and port.get("containerPort") not in reached:
                        own = {**_pod_labels(pod), **_container_labels(pod, container, port, init=None)}
                        yield _group(role, entry, address_text(ip, port.get("containerPort", 0)), common, own)


def _endpoints(entry: Object, objects: Objects, nodes: Mapping[str, Object]) -> Iterator[TargetGroup]:
    metadata, seen = _metadata(entry), _Seen(objects["pods"])
    namespace = str(metadata.get("namespace", ""))
    service = objects["services"].get(key_of(entry))
    common = {
        f"{_META}namespace": namespace,
        f"{_META}endpoints_name": str(metadata.get("name", "")),
        **(_service_labels(service) if service else {}),
        **described(f"{_META}endpoints_", metadata),
    }
    for subset in _list(entry.get("subsets")):
        states = [(a, "true") for a in _list(subset.get("addresses"))] + [
            (a, "false") for a in _list(subset.get("notReadyAddresses"))
        ]
        for port in _list(subset.get("ports")):
            for address, ready in states:
                own = {
                    f"{_META}endpoint_port_name": str(port.get("name", "")),
                    f"{_META}endpoint_port_protocol": str(port.get("protocol", "TCP")),
                    f"{_META}endpoint_ready": ready,
                    **_given(f"{_META}endpoint_", node_name=address.get("nodeName"), hostname=address.get("hostname")),
                    **_target_labels(f"{_META}endpoint_address_target_", address.get("targetRef")),
                    **_node_labels(address.get("nodeName"), nodes),
                    **seen.labels(address.get("targetRef"), namespace, port.get("port")),
                }
                yield _group("endpoints", entry, address_text(str(address.get("ip", "")), port.get("port", 0)), common, own)
    yield from seen.others("endpoints", entry, common)


def _endpointslice(entry: Object, objects: Objects, nodes: Mapping[str, Object]) -> Iterator[TargetGroup]:
    metadata, seen = _metadata(entry), _Seen(objects["pods"])
    namespace, prefix = str(metadata.get("namespace", "")), f"{_META}endpointslice_"
    service = objects["services"].get(f"{namespace}/{(metadata.get('labels') or {}).get('kubernetes.io/service-name', '')}")
    common = {
        f"{_META}namespace": namespace,
        f"{prefix}name": str(metadata.get("name", "")),
        f"{prefix}address_type": str(entry.get("addressType", "")),
        **described(prefix, metadata),
        **(_service_labels(service) if service else {}),
    }
    for endpoint in _list(entry.get("endpoints")):
        own = _slice_endpoint_labels(prefix, endpoint)
        on_node = (endpoint.get("targetRef") or {}).get("kind") == "Node"
        own |= _node_labels(endpoint["targetRef"].get("name") if on_node else endpoint.get("nodeName"), nodes)
        for port in _list(entry.get("ports")):
            named = _given(
                prefix,
                port=port.get("port"),
                port_name=port.get("name"),
                port_protocol=port.get("protocol"),
                port_app_protocol=port.get("appProtocol"),
            )
            for address in _list(endpoint.get("addresses")):
                pod = seen.labels(endpoint.get("targetRef"), namespace, port.get("port"))
                text = address_text(str(address), port["port"]) if port.get("port") else str(address)
                yield _group("endpointslice", entry, text, common, {**own, **named, **pod})
    yield from seen.others("endpointslice", entry, common)


def _slice_endpoint_labels(prefix: str, endpoint: Object) -> dict[str, str]:
    conditions = endpoint.get("conditions") or {}
    topology = endpoint.get("deprecatedTopology") or {}
    return {
        **{
            f"{prefix}endpoint_conditions_{name}": "true" if conditions[name] else "false"
            for name in ("ready", "serving", "terminating")
            if conditions.get(name) is not None
        },
        **_given(
            f"{prefix}endpoint_",
            hostname=endpoint.get("hostname"),
            node_name=endpoint.get("nodeName"),
            zone=endpoint.get("zone"),
        ),
        **_target_labels(f"{prefix}address_target_", endpoint.get("targetRef")),
        **{f"{prefix}endpoint_topology_{label_name(name)}": str(value) for name, value in topology.items()},
        **{f"{prefix}endpoint_topology_present_{label_name(name)}": "true" for name in topology},
    }


def _target_labels(prefix: str, reference: Object | None) -> dict[str, str]:
    return _given(prefix, kind=reference.get("kind"), name=reference.get("name")) if reference else {}


def _given(prefix: str, **values: Any) -> dict[str, str]:
    """Those that are set."""
    return {f"{prefix}{name}": str(value) for name, value in values.items() if value is not None and value != ""}


# -- ingress -----------------------------------------------------------------------------------------------------------


def _ingress(entry: Object) -> Iterator[TargetGroup]:
    metadata, spec = _metadata(entry), entry.get("spec") or {}
    common = {
        f"{_META}namespace": str(metadata.get("namespace", "")),
        f"{_META}ingress_name": str(metadata.get("name", "")),
        **_given(f"{_META}ingress_", class_name=spec.get("ingressClassName")),
        **described(f"{_META}ingress_", metadata),
    }
    secure = [str(host) for tls in _list(spec.get("tls")) for host in _list(tls.get("hosts"))]
    for rule in _list(spec.get("rules")):
        host = str(rule.get("host", ""))
        scheme = "https" if any(_covers(pattern, host) for pattern in secure) else "http"
        paths = [str(path.get("path") or "/") for path in _list((rule.get("http") or {}).get("paths"))] or ["/"]
        for path in paths:
            own = {f"{_META}ingress_scheme": scheme, f"{_META}ingress_host": host, f"{_META}ingress_path": path}
            yield _group("ingress", entry, host, common, own)


def _covers(pattern: str, host: str) -> bool:
    """A name, or `*.name` for exactly one part in front."""
    first, _, rest = pattern.partition(".")
    return pattern == host or (first == "*" and bool(rest) and host.partition(".")[2] == rest)
