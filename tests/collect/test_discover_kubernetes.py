"""kubernetes_sd: labels of every role, and a cluster that is listed, watched, away and back."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.collect.fake_kubernetes import ENDPOINTS, INGRESS, NODE, SERVICE, SLICE, FakeKubernetes, pod
from tests.collect.fakes import Servers, free_port

from tocsin.clock import SystemClock
from tocsin.collect.discover import Discoverer, DiscoveryFailed
from tocsin.collect.discover_kubernetes import KubernetesWatch, connection_of
from tocsin.collect.kubernetes_targets import groups_of_role, key_of
from tocsin.collect.target import HttpSettings, KubernetesDiscovery, ScrapeJob
from tocsin.config.prometheus_scrape import ScrapeConfig

WEB = pod(
    "web-1", "10.1.0.2", [{"name": "http", "containerPort": 8080}, {"name": "extra", "containerPort": 9000, "protocol": "UDP"}]
)
ALL = {
    "nodes": [NODE],
    "pods": [WEB],
    "services": [SERVICE],
    "endpoints": [ENDPOINTS],
    "endpointslices": [SLICE],
    "ingresses": [INGRESS],
}
K = "__meta_kubernetes_"


def _targets(role: str, *, attach_node: bool = False) -> dict[str, dict[str, str]]:
    """Labels by address, the prefix taken off."""
    objects = {resource: {key_of(entry): entry for entry in entries} for resource, entries in ALL.items()}
    groups = groups_of_role(role, objects, attach_node=attach_node)
    return {
        f"{group.targets[0]}{group.labels.get(K + 'ingress_path')}": {k.removeprefix(K): v for k, v in group.labels.pairs}
        for group in groups
    }


_POD = {
    "pod_annotation_prometheus_io_scrape": "true", "pod_annotationpresent_prometheus_io_scrape": "true",
    "pod_controller_kind": "ReplicaSet", "pod_controller_name": "web-1", "pod_host_ip": "10.0.0.1", "pod_ip": "10.1.0.2",
    "pod_label_app_kubernetes_io_name": "web", "pod_labelpresent_app_kubernetes_io_name": "true", "pod_name": "web-1",
    "pod_node_name": "node-a", "pod_phase": "Running", "pod_ready": "true", "pod_uid": "uid-web-1",
}  # fmt: skip
_SERVICE = {
    "service_annotation_note": "n", "service_annotationpresent_note": "true", "service_label_team": "a",
    "service_labelpresent_team": "true", "service_name": "web",
}  # fmt: skip
_APP = {"pod_container_name": "app", "pod_container_image": "shop:7"}


def test_nodes() -> None:
    assert _targets("node") == {
        "10.0.0.1:10250": {
            "instance": "node-a", "node_name": "node-a", "node_provider_id": "cloud://1", "node_address_Hostname": "node-a",
            "node_address_InternalIP": "10.0.0.1", "node_label_topology_kubernetes_io_zone": "a",
            "node_labelpresent_topology_kubernetes_io_zone": "true", "node_annotation_x_y": "z",
            "node_annotationpresent_x_y": "true",
        }
    }  # fmt: skip


def test_services() -> None:
    assert _targets("service") == {
        "web.shop.svc:80": {
            **_SERVICE, "namespace": "shop", "service_type": "LoadBalancer", "service_cluster_ip": "10.9.0.1",
            "service_loadbalancer_ip": "1.2.3.4", "service_port_name": "http", "service_port_number": "80",
            "service_port_protocol": "TCP",
        }
    }  # fmt: skip


def test_pods_with_and_without_their_node() -> None:
    found = _targets("pod")
    assert set(found) == {"10.1.0.2:8080", "10.1.0.2:9000", "10.1.0.2"}
    assert found["10.1.0.2:8080"] == {
        **_POD, **_APP, "namespace": "shop", "pod_container_init": "false", "pod_container_id": "containerd://abc",
        "pod_container_port_name": "http", "pod_container_port_number": "8080", "pod_container_port_protocol": "TCP",
    }  # fmt: skip
    assert (found["10.1.0.2"]["pod_container_name"], found["10.1.0.2"]["pod_container_init"]) == ("prepare", "true")
    with_node = _targets("pod", attach_node=True)["10.1.0.2:8080"]
    assert (with_node["node_name"], with_node["node_label_topology_kubernetes_io_zone"]) == ("node-a", "a")


def test_endpoints_and_the_ports_that_no_service_reaches() -> None:
    found = _targets("endpoints")
    assert set(found) == {"10.1.0.2:8080", "10.1.0.3:8080", "10.1.0.2:9000"}
    common = {
        **_SERVICE,
        "namespace": "shop",
        "endpoints_name": "web",
        "endpoints_label_l": "v",
        "endpoints_labelpresent_l": "true",
    }
    assert found["10.1.0.2:8080"] == {
        **common, **_POD, **_APP, "pod_container_port_name": "http", "pod_container_port_number": "8080",
        "pod_container_port_protocol": "TCP", "endpoint_port_name": "http", "endpoint_port_protocol": "TCP",
        "endpoint_ready": "true", "endpoint_node_name": "node-a", "endpoint_hostname": "h", "endpoint_address_target_kind": "Pod",
        "endpoint_address_target_name": "web-1",
    }  # fmt: skip
    assert found["10.1.0.3:8080"]["endpoint_ready"] == "false"
    assert found["10.1.0.2:9000"]["pod_container_port_name"] == "extra"


def test_endpoint_slices() -> None:
    found = _targets("endpointslice", attach_node=True)
    assert set(found) == {"10.1.0.2:8080", "10.1.0.2:9000"}
    assert found["10.1.0.2:8080"] == {
        **_SERVICE, **_POD, **_APP, "namespace": "shop", "endpointslice_name": "web-abc", "endpointslice_address_type": "IPv4",
        "endpointslice_label_kubernetes_io_service_name": "web", "endpointslice_labelpresent_kubernetes_io_service_name": "true",
        "endpointslice_address_target_kind": "Pod", "endpointslice_address_target_name": "web-1", "endpointslice_port": "8080",
        "endpointslice_port_name": "http", "endpointslice_port_protocol": "TCP", "endpointslice_port_app_protocol": "http",
        "endpointslice_endpoint_conditions_ready": "true", "endpointslice_endpoint_conditions_serving": "true",
        "endpointslice_endpoint_conditions_terminating": "false", "endpointslice_endpoint_hostname": "h",
        "endpointslice_endpoint_node_name": "node-a", "endpointslice_endpoint_zone": "a", "pod_container_port_name": "http",
        "pod_container_port_number": "8080", "pod_container_port_protocol": "TCP", "node_name": "node-a",
        "node_label_topology_kubernetes_io_zone": "a", "node_labelpresent_topology_kubernetes_io_zone": "true",
    }  # fmt: skip


def test_ingresses() -> None:
    found = _targets("ingress")
    seen = {address: tuple(of[f"ingress_{name}"] for name in ("scheme", "host", "path")) for address, of in found.items()}
    assert seen == {
        "www.shop.example/a": ("https", "www.shop.example", "/a"),
        "www.shop.example/": ("https", "www.shop.example", "/"),
        "plain.example/": ("http", "plain.example", "/"),
    }
    assert found["plain.example/"]["ingress_class_name"] == "nginx"
    assert found["plain.example/"]["ingress_annotationpresent_c"] == "true"


async def _until(what: Callable[[], Any]) -> None:
    """Poll: the watch is another task on a real connection."""
    async with asyncio.timeout(10):
        while not await what():
            await asyncio.sleep(0.01)


async def test_changes_follow_the_watch(servers: Servers) -> None:
    cluster = FakeKubernetes({"pods": [WEB, pod("web-2", "10.1.0.9", [{"containerPort": 1}])]}, token="t")
    url = f"http://127.0.0.1:{await servers.start(cluster.handle)}"
    discovery = KubernetesDiscovery(
        "pod",
        url,
        namespaces=("shop",),
        selectors=(("pod", "app=web", "status.phase=Running"),),
        http=HttpSettings(credentials="t"),
    )
    watch = KubernetesWatch(discovery, SystemClock())

    async def addresses() -> set[str]:
        return {group.targets[0] for group in await watch.groups()}

    async def holds(expected: set[str]) -> bool:
        return await addresses() == expected

    try:
        assert await addresses() == {"10.1.0.2:8080", "10.1.0.2:9000", "10.1.0.2", "10.1.0.9:1", "10.1.0.9"}
        path, params = cluster.asked[0]
        assert (path, params["labelSelector"], params["fieldSelector"]) == (
            "/api/v1/namespaces/shop/pods",
            "app=web",
            "status.phase=Running",
        )

        async def watching() -> bool:
            return any("watch" in params for _, params in cluster.asked)

        await _until(watching)
        assert cluster.asked[-1][1]["resourceVersion"] == "7"
        await asyncio.sleep(0)
        cluster.tell("pods", "DELETED", WEB)
        cluster.tell("pods", "ADDED", pod("web-3", "10.1.0.7", [{"containerPort": 1}]))
        cluster.tell("pods", "BOOKMARK", {"metadata": {"resourceVersion": "99"}})
        await _until(lambda: holds({"10.1.0.9:1", "10.1.0.9", "10.1.0.7:1", "10.1.0.7"}))
        cluster.objects["pods"] = [WEB]
        cluster.tell("pods", "ERROR", {"code": 410, "message": "too old resource version"})
        await _until(lambda: holds({"10.1.0.2:8080", "10.1.0.2:9000", "10.1.0.2"}))
        assert watch.error == ""
    finally:
        await watch.close()


async def test_a_cluster_that_goes_away_leaves_its_last_targets_and_says_so(servers: Servers) -> None:
    cluster = FakeKubernetes({"nodes": [NODE]})
    url = f"http://127.0.0.1:{await servers.start(cluster.handle)}"
    discoverer = Discoverer(ScrapeJob("k", discovery=(KubernetesDiscovery("node", url, refresh_ms=0),)), SystemClock())
    try:
        await discoverer.refresh()
        assert (len(discoverer.groups()), discoverer.error) == (1, "")

        async def watching() -> bool:
            return any("watch" in params for _, params in cluster.asked)

        await _until(watching)
        await asyncio.sleep(0)
        cluster.failing = 403

        async def says_so() -> bool:
            cluster.tell("nodes", "ERROR", {"code": 500, "message": "etcd is away"})
            await discoverer.refresh()
            return bool(discoverer.error)

        await _until(says_so)
        assert len(discoverer.groups()) == 1
    finally:
        await discoverer.close()


async def test_no_access_is_told(servers: Servers, tmp_path: Path) -> None:
    cluster = FakeKubernetes(token="right")
    url = f"http://127.0.0.1:{await servers.start(cluster.handle)}"
    for discovery, said in (
        (KubernetesDiscovery("pod", url), "HTTP 401"),
        (KubernetesDiscovery("pod", f"http://127.0.0.1:{free_port()}"), "Cannot connect"),
        (KubernetesDiscovery("pod"), "a pod"),
        (KubernetesDiscovery("pod", kubeconfig_file=str(tmp_path / "none")), "none"),
    ):
        watch = KubernetesWatch(discovery, SystemClock(), account=tmp_path / "account")
        with pytest.raises(DiscoveryFailed, match=said):
            await watch.groups()
        await watch.close()


def test_the_ways_in(tmp_path: Path) -> None:
    account = tmp_path / "account"
    account.mkdir()
    (account / "namespace").write_text("shop\n")
    base, http, namespace = connection_of(KubernetesDiscovery("pod", in_cluster="https://10.9.0.1:443"), account)
    assert (base, namespace, http.credentials_file, http.tls.ca_file) == (
        "https://10.9.0.1:443", "shop", str(account / "token"), str(account / "ca.crt"),
    )  # fmt: skip
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "n"}}],
        "clusters": [
            {
                "name": "k",
                "cluster": {"server": "https://k:6443", "certificate-authority-data": base64.b64encode(b"PEM").decode()},
            }
        ],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    base, http, namespace = connection_of(KubernetesDiscovery("pod", kubeconfig_file=str(path)), account)
    assert (base, http.credentials, http.tls.ca, namespace) == ("https://k:6443", "secret", "PEM", "n")
    config["users"][0]["user"] = {"exec": {"command": "aws"}}  # type: ignore[index]
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(DiscoveryFailed, match="signs in by a program"):
        connection_of(KubernetesDiscovery("pod", kubeconfig_file=str(path)), account)


def test_the_configuration_is_prometheus_s(tmp_path: Path) -> None:
    def read(**raw: Any) -> KubernetesDiscovery:
        (entry,) = ScrapeConfig.model_validate({"job_name": "k", "kubernetes_sd_configs": [raw]}).kubernetes_sd_configs
        return entry.discovery(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.9.0.1", "KUBERNETES_SERVICE_PORT": "6443"})

    found = read(
        role="Pod",
        namespaces={"own_namespace": True},
        selectors=[{"role": "pod", "label": "a=b"}],
        attach_metadata={"node": True},
    )
    assert found == KubernetesDiscovery(
        "pod", in_cluster="https://10.9.0.1:6443", own_namespace=True, selectors=(("pod", "a=b", ""),), attach_node=True
    )
    for raw, said in (
        ({"role": "gateway"}, "role"),
        ({"role": "pod", "api_server": "https://k", "kubeconfig_file": "x"}, "simultaneously"),
        ({"role": "pod", "kubeconfig_file": "x", "bearer_token": "t"}, "custom HTTP client"),
        ({"role": "node", "selectors": [{"role": "pod"}]}, "supports only node"),
        ({"role": "pod", "selectors": [{"role": "pod"}, {"role": "pod"}]}, "duplicated"),
    ):
        with pytest.raises(ValueError, match=said):
            read(**raw)
