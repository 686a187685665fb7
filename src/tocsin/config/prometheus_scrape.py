"""One entry of `scrape_configs`, as Prometheus 3.5 knows it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import re2
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tocsin.collect.fields import address_text
from tocsin.collect.relabel import DEFAULT_REGEX, Action, RelabelRule
from tocsin.collect.target import PROTOCOLS, DockerDiscovery, KubernetesDiscovery
from tocsin.config.fields import DurationMs, Section, Text, Texts
from tocsin.config.prometheus_http import ByteSize, HttpClientConfig
from tocsin.model.labels import compile_anchored

Count = Annotated[int, Field(ge=0)]

UNSUPPORTED_DISCOVERY = frozenset(
    f"{name}_sd_configs"
    for name in (
        "azure", "consul", "digitalocean", "dockerswarm", "ec2", "eureka", "gce", "hetzner", "ionos",
        "kuma", "lightsail", "linode", "marathon", "nerve", "nomad", "openstack", "ovhcloud", "puppetdb", "scaleway",
        "serverset", "stackit", "triton", "uyuni", "vultr",
    )
)  # fmt: skip


def without_unsupported(entry: Any) -> tuple[Any, tuple[str, ...]]:
    """An entry that discovers, and the keys of discoveries that Tocsin does not ask, taken out of it."""
    if not isinstance(entry, Mapping):
        return entry, ()
    unsupported = tuple(key for key in entry if key in UNSUPPORTED_DISCOVERY and entry[key])
    return {key: value for key, value in entry.items() if key not in UNSUPPORTED_DISCOVERY}, unsupported


def way_out(key: str) -> str:
    """What to do instead of a discovery that Tocsin does not ask."""
    asked = key.removesuffix("_sd_configs")
    ways = "`http_sd_configs: [{url: ...}]` or `file_sd_configs: [{files: [...]}]`"
    return f"Tocsin does not ask {asked}; name the targets by {ways} (docs/how-to/discovery.md)"


def _protocols(value: tuple[str, ...]) -> tuple[str, ...]:
    known = (*PROTOCOLS, "PrometheusProto")
    for name in value:
        if name not in known:
            raise ValueError(f"unknown scrape protocol {name!r}, supported: {', '.join(known)}")
    if len(set(value)) != len(value):
        raise ValueError("duplicated protocol in scrape_protocols")
    return value


def check_addresses(groups: tuple[StaticConfig, ...]) -> None:
    """Raises ValueError for a URL. Not asked where relabelling makes the addresses: a blackbox job's targets are URLs."""
    for i, group in enumerate(groups):
        for k, value in enumerate(group.targets):
            if "/" in value or not value:
                text = "is not a valid hostname (expected host:port without scheme and path)"
                raise ValueError(f"static_configs[{i}].targets[{k}]: {value!r} {text}")


def _regex(value: Any) -> str:
    text = str(value)
    try:
        compile_anchored(text)
    except re2.error as error:
        raise ValueError(f"not a regular expression that RE2 accepts: {error}") from None
    return text


def _sd_file(value: str) -> str:
    if not re.search(r"^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$", value):
        raise ValueError(f"path name {value!r} is not valid for file discovery (expected *.json, *.yml or *.yaml)")
    return value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    # Not Field(min_length=1): that would count only valid items and complain twice.
    if not value:
        raise ValueError("expected at least one entry")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected a URL with scheme http or https and a host, got {value!r}")
    return value


def _docker_host(value: str) -> str:
    if urlsplit(value).scheme not in ("unix", "tcp", "http", "https"):
        raise ValueError(f"expected unix:///var/run/docker.sock, http://host:2375 or https://host:2376, got {value!r}")
    return value


TextMap = dict[str, Text]
Protocols = Annotated[tuple[str, ...], AfterValidator(_protocols)]
Regex = Annotated[str, BeforeValidator(_regex)]


class StaticConfig(Section):
    targets: tuple[Text, ...] = ()
    labels: TextMap = Field({})


class FileSd(Section):
    files: Annotated[tuple[Annotated[str, AfterValidator(_sd_file)], ...], AfterValidator(_some)]
    refresh_interval: DurationMs = 300_000


class HttpSd(HttpClientConfig):
    url: Annotated[str, AfterValidator(_url)]
    refresh_interval: DurationMs = 60_000


class DnsSd(Section):
    names: Annotated[tuple[str, ...], AfterValidator(_some)]
    type: Literal["SRV", "A", "AAAA", "MX", "NS"] = "SRV"
    port: int = Field(0, ge=0, le=65535)
    refresh_interval: DurationMs = 30_000

    @model_validator(mode="after")
    def _port(self) -> Self:
        if self.type != "SRV" and not self.port:
            raise ValueError("a port is required in DNS-SD configs for all record types except SRV")
        return self


class DockerFilter(Section):
    name: str
    values: Annotated[tuple[Text, ...], AfterValidator(_some)]


class DockerSd(HttpClientConfig):
    host: Annotated[str, AfterValidator(_docker_host)]
    port: int = Field(80, ge=0, le=65535)
    filters: tuple[DockerFilter, ...] = ()
    host_networking_host: str = "localhost"
    match_first_network: bool = True
    refresh_interval: DurationMs = 60_000

    def discovery(self, base: Path) -> DockerDiscovery:
        filters = tuple((entry.name, tuple(entry.values)) for entry in self.filters)
        return DockerDiscovery(
            self.host,
            self.port,
            filters,
            self.host_networking_host,
            self.match_first_network,
            self.refresh_interval,
            self.http(base),
        )


class KubernetesNamespaces(Section):
    own_namespace: bool = False
    names: Texts = ()


KubernetesRole = Literal["node", "pod", "service", "endpoints", "endpointslice", "ingress"]


class KubernetesSelector(Section):
    role: KubernetesRole
    label: str = ""
    field: str = ""


class KubernetesMetadata(Section):
    node: bool = False


class KubernetesSd(HttpClientConfig):
    role: Annotated[KubernetesRole, BeforeValidator(lambda value: str(value).lower())]
    api_server: Annotated[str, AfterValidator(lambda value: _url(value) if value else "")] = ""
    kubeconfig_file: str = ""
    namespaces: KubernetesNamespaces = KubernetesNamespaces()
    selectors: tuple[KubernetesSelector, ...] = ()
    attach_metadata: KubernetesMetadata = KubernetesMetadata()

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        own = self.model_fields_set - {"role", "api_server", "kubeconfig_file", "namespaces", "selectors", "attach_metadata"}
        if self.api_server and self.kubeconfig_file:
            raise ValueError("cannot use 'kubeconfig_file' and 'api_server' simultaneously")
        if self.kubeconfig_file and own:
            raise ValueError("cannot use a custom HTTP client configuration together with 'kubeconfig_file'")
        if self.api_server and self.namespaces.own_namespace:
            raise ValueError("cannot use 'api_server' and 'namespaces.own_namespace' simultaneously")
        if self.kubeconfig_file and self.namespaces.own_namespace:
            raise ValueError("cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously")
        roles = [entry.role for entry in self.selectors]
        if len(set(roles)) != len(roles):
            raise ValueError("duplicated selector role")
        allowed = {"endpoints": {"pod", "service", "endpoints"}, "endpointslice": {"pod", "service", "endpointslice"}}
        known = allowed.get(self.role, {self.role}) | ({"node"} if self.attach_metadata.node else set())
        if wrong := sorted(set(roles) - known):
            raise ValueError(f"{self.role} role supports only {', '.join(sorted(known))} selectors, not {wrong[0]}")
        return self

    def discovery(self, base: Path, environment: Mapping[str, str] = os.environ) -> KubernetesDiscovery:
        host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
        in_cluster = f"https://{address_text(host, int(port))}" if host else "https://kubernetes.default.svc"
        return KubernetesDiscovery(
            role=self.role,
            api_server=self.api_server,
            kubeconfig_file=str(base / self.kubeconfig_file) if self.kubeconfig_file else "",
            namespaces=tuple(self.namespaces.names),
            own_namespace=self.namespaces.own_namespace,
            selectors=tuple((entry.role, entry.label, entry.field) for entry in self.selectors),
            attach_node=self.attach_metadata.node,
            http=self.http(base),
            in_cluster=in_cluster,
        )


_NEEDS_TARGET = (Action.REPLACE, Action.HASH_MOD, Action.LOWERCASE, Action.UPPERCASE, Action.KEEP_EQUAL, Action.DROP_EQUAL)


class RelabelConfig(Section):
    source_labels: Texts = ()
    separator: Text = ";"
    regex: Regex = DEFAULT_REGEX
    modulus: Count = 0
    target_label: Text = ""
    replacement: Text = "$1"
    action: Annotated[Action, BeforeValidator(lambda value: str(value).lower())] = Action.REPLACE

    @model_validator(mode="after")
    def _fits_the_action(self) -> Self:
        given = self.model_fields_set
        if self.action in _NEEDS_TARGET and not self.target_label:
            raise ValueError(f"relabel configuration for {self.action} action requires 'target_label' value")
        if self.action is Action.HASH_MOD and not self.modulus:
            raise ValueError("relabel configuration for hashmod requires non-zero modulus")
        if self.action in (Action.LOWERCASE, Action.UPPERCASE) and self.replacement != "$1":
            raise ValueError(f"'replacement' can not be set for {self.action} action")
        allowed = {
            Action.LABEL_DROP: {"regex", "action"},
            Action.LABEL_KEEP: {"regex", "action"},
            Action.KEEP_EQUAL: {"source_labels", "target_label", "action"},
            Action.DROP_EQUAL: {"source_labels", "target_label", "action"},
        }.get(self.action)
        if allowed is not None and (extra := sorted(given - allowed)):
            wanted = " and ".join(f"'{name}'" for name in sorted(allowed - {"action"}))
            raise ValueError(f"{self.action} action requires only {wanted}, and no other fields (found {', '.join(extra)})")
        return self

    def rule(self) -> RelabelRule:
        return RelabelRule(
            self.action, self.source_labels, self.separator, self.regex, self.modulus, self.target_label, self.replacement
        )


class ScrapeConfig(HttpClientConfig):
    """All keys. What is accepted without effect gives a warning (config/prometheus.py)."""

    proxies = ("http", "https", "socks5", "socks5h")

    job_name: Text = Field(min_length=1)
    scrape_interval: DurationMs = 0
    scrape_timeout: DurationMs = 0
    scrape_protocols: Protocols | None = None
    fallback_scrape_protocol: str = ""
    metrics_path: str = "/metrics"
    scheme: Literal["http", "https"] = "http"
    params: dict[str, Texts] = {}  # noqa: RUF012  (pydantic copies it)
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_timestamps_staleness: bool = False
    enable_compression: bool = True
    always_scrape_classic_histograms: bool = False
    convert_classic_histograms_to_nhcb: bool = False
    native_histogram_bucket_limit: Count = 0
    native_histogram_min_bucket_factor: float = 0.0
    metric_name_validation_scheme: Literal["", "utf8", "legacy"] = ""
    metric_name_escaping_scheme: Literal["", "allow-utf-8", "underscores", "dots", "values"] = ""
    scrape_failure_log_file: str = ""
    body_size_limit: ByteSize = 0
    sample_limit: Count = 0
    label_limit: Count = 0
    label_name_length_limit: Count = 0
    label_value_length_limit: Count = 0
    target_limit: Count = 0
    keep_dropped_targets: Count = 0
    static_configs: tuple[StaticConfig, ...] = ()
    file_sd_configs: tuple[FileSd, ...] = ()
    http_sd_configs: tuple[HttpSd, ...] = ()
    dns_sd_configs: tuple[DnsSd, ...] = ()
    docker_sd_configs: tuple[DockerSd, ...] = ()
    kubernetes_sd_configs: tuple[KubernetesSd, ...] = ()
    relabel_configs: tuple[RelabelConfig, ...] = ()
    metric_relabel_configs: tuple[RelabelConfig, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _set(cls, value: Any) -> Any:
        """A key without a value is not set."""
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        if not self.relabel_configs:
            check_addresses(self.static_configs)
        return self

    @model_validator(mode="after")
    def _fallback(self) -> Self:
        if self.fallback_scrape_protocol and self.fallback_scrape_protocol not in (*PROTOCOLS, "PrometheusProto"):
            raise ValueError(f"unknown fallback_scrape_protocol {self.fallback_scrape_protocol!r}")
        return self
