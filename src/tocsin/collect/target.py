"""What to scrape: a job, its targets, and how a discovered address becomes a labelled target.

discovery ──TargetGroup──▶ target_of(job, labels) ──relabel_configs──▶ Target | None (dropped)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tocsin.collect.relabel import RelabelRule, relabel
from tocsin.model.duration import format_duration, parse_duration_ms
from tocsin.model.httpclient import OAuth2, Proxy, Tls
from tocsin.model.labels import EMPTY_LABELS, Labels


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How to ask: credentials (a file is read at each scrape, so that it may rotate), TLS, headers, proxy."""

    username: str = ""
    username_file: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    authorization: str = "Bearer"
    credentials: str = field(default="", repr=False)
    credentials_file: str = ""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    tls: Tls = field(default_factory=Tls)
    follow_redirects: bool = True
    proxy: Proxy = field(default_factory=Proxy, repr=False)
    oauth2: OAuth2 | None = None


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Addresses that share labels, as discovery gives them. `source` tells groups of one discovery apart."""

    targets: tuple[str, ...]
    labels: Labels = EMPTY_LABELS
    source: str = ""


@dataclass(frozen=True, slots=True)
class FileDiscovery:
    """Groups in files (JSON or YAML), looked at again every `refresh_ms`."""

    files: tuple[str, ...]
    refresh_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class HttpDiscovery:
    """Groups as JSON from a URL."""

    url: str
    refresh_ms: int = 60_000
    http: HttpSettings = HttpSettings()


@dataclass(frozen=True, slots=True)
class DnsDiscovery:
    """Addresses from DNS records: SRV names host and port, A, AAAA, MX and NS need `port`."""

    names: tuple[str, ...]
    type: str = "SRV"
    port: int = 0
    refresh_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class DockerDiscovery:
    """Containers of a Docker daemon at `host` (unix://, tcp://, http://, https://)."""

    host: str
    port: int = 80
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    host_networking_host: str = "localhost"
    match_first_network: bool = True
    refresh_ms: int = 60_000
    http: HttpSettings = HttpSettings()


@dataclass(frozen=True, slots=True)
class KubernetesDiscovery:
    """Objects of a cluster. Without `api_server` and `kubeconfig_file` we are in a pod of it, and ask `in_cluster`."""

    role: str
    api_server: str = ""
    kubeconfig_file: str = ""
    in_cluster: str = "https://kubernetes.default.svc"
    namespaces: tuple[str, ...] = ()
    own_namespace: bool = False
    selectors: tuple[tuple[str, str, str], ...] = ()
    """(role, label selector, field selector)."""
    attach_node: bool = False
    refresh_ms: int = 2_000
    """How soon a change that the watch saw becomes targets."""
    http: HttpSettings = HttpSettings()


@dataclass(frozen=True, slots=True)
class UnsupportedDiscovery:
    """One that Prometheus knows and we do not: it always fails with `advice`, so that the job shows as not watched."""

    key: str
    advice: str
    refresh_ms: int = 60_000


Discovery = FileDiscovery | HttpDiscovery | DnsDiscovery | DockerDiscovery | KubernetesDiscovery | UnsupportedDiscovery

PROTOCOLS = ("OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4")


@dataclass(frozen=True, slots=True)
class ScrapeLimits:
    """0 = no limit. A scrape beyond one fails as a whole, as in Prometheus."""

    body_bytes: int = 0
    samples: int = 0
    labels: int = 0
    label_name_length: int = 0
    label_value_length: int = 0
    targets: int = 0
    keep_dropped_targets: int = 0


@dataclass(frozen=True, slots=True)
class ScrapeJob:
    """One entry of `scrape_configs`, ready to run."""

    name: str
    static: tuple[TargetGroup, ...] = ()
    discovery: tuple[Discovery, ...] = ()
    interval_ms: int = 60_000
    timeout_ms: int = 10_000
    scheme: str = "http"
    path: str = "/metrics"
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_timestamps_staleness: bool = False
    relabel: tuple[RelabelRule, ...] = ()
    metric_relabel: tuple[RelabelRule, ...] = ()
    limits: ScrapeLimits = ScrapeLimits()
    http: HttpSettings = HttpSettings()
    protocols: tuple[str, ...] = PROTOCOLS
    fallback_protocol: str = ""
    compression: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to scrape. Equal targets are the same scrape loop."""

    labels: Labels
    """What every series gets: no name begins with `__`."""
    url: str
    interval_ms: int
    timeout_ms: int
    discovered: Labels = field(compare=False, default=EMPTY_LABELS)


def target_of(job: ScrapeJob, group_labels: Labels, address: str) -> tuple[Target | None, Labels]:
    """The target of an address (None = relabelling dropped it) and the labels it was discovered with.

    Raises ValueError where the labels that relabelling left do not make a target.
    """
    start = {
        "job": job.name,
        "__scheme__": job.scheme,
        "__metrics_path__": job.path,
        "__scrape_interval__": format_duration(job.interval_ms),
        "__scrape_timeout__": format_duration(job.timeout_ms),
        **{f"__param_{name}": values[0] for name, values in job.params.items() if values},
        **{name: value for name, value in group_labels.pairs if value},
        "__address__": address or group_labels.get("__address__"),
    }
    discovered = Labels(start)
    labels = relabel(dict(discovered.pairs), job.relabel)
    if labels is None:
        return None, discovered
    if not labels.get("__address__"):
        raise ValueError("no address")
    if "/" in labels["__address__"]:
        raise ValueError(f"{labels['__address__']!r} is not a valid hostname")
    interval_ms, timeout_ms = _times(labels)
    public = {name: value for name, value in labels.items() if not name.startswith("__")}
    public.setdefault("instance", labels["__address__"])
    return Target(Labels(public), _url(job, labels), interval_ms, timeout_ms, discovered), discovered


def _times(labels: Mapping[str, str]) -> tuple[int, int]:
    interval_ms = parse_duration_ms(labels.get("__scrape_interval__", ""))
    timeout_ms = parse_duration_ms(labels.get("__scrape_timeout__", ""))
    if interval_ms == 0 or timeout_ms == 0:
        raise ValueError("scrape interval and timeout cannot be 0")
    if timeout_ms > interval_ms:
        given = f"{labels['__scrape_timeout__']} > {labels['__scrape_interval__']}"
        raise ValueError(f"scrape timeout cannot be greater than scrape interval ({given})")
    return interval_ms, timeout_ms


def _url(job: ScrapeJob, labels: Mapping[str, str]) -> str:
    """Parameters of the job, each one's first value replaced by its `__param_` label."""
    params = {name: list(values) for name, values in job.params.items()}
    for name, value in labels.items():
        if name.startswith("__param_"):
            params[name[len("__param_") :]] = [value, *params.get(name[len("__param_") :], [])[1:]]
    query = urlencode([(name, value) for name in sorted(params) for value in params[name]])
    path = labels.get("__metrics_path__", "/metrics")
    path = path if path.startswith("/") else f"/{path}"
    joint = "&" if "?" in path else "?"
    return f"{labels.get('__scheme__', 'http')}://{labels['__address__']}{path}{joint + query if query else ''}"
