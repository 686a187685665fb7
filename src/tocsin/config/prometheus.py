"""Prometheus's `global` (scrape part) and `scrape_configs`, every key of 3.5, to `collect.target.ScrapeJob`.

What Tocsin does not do is an error when data would be wrong, a fault when a job would not be watched (an unsupported discovery:
`config check` fails, a server says so and goes on with the rest), else a warning.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from tocsin.collect.target import (
    PROTOCOLS,
    DnsDiscovery,
    FileDiscovery,
    HttpDiscovery,
    ScrapeJob,
    ScrapeLimits,
    TargetGroup,
    UnsupportedDiscovery,
)
from tocsin.config.fields import DurationMs, Section, problems_of
from tocsin.config.prometheus_http import ByteSize, HttpClientConfig
from tocsin.config.prometheus_scrape import (
    Count,
    FileSd,
    Protocols,
    ScrapeConfig,
    StaticConfig,
    TextMap,
    way_out,
    without_unsupported,
)
from tocsin.errors import ConfigError, Problem
from tocsin.formats.yaml_tree import Path as TreePath
from tocsin.formats.yaml_tree import Tree, parse_yaml, path_text
from tocsin.model.duration import format_duration
from tocsin.model.labels import Labels

KEYS = frozenset(
    {
        "global",
        "runtime",
        "scrape_configs",
        "scrape_config_files",
        "rule_files",
        "alerting",
        "remote_write",
        "remote_read",
        "storage",
        "tracing",
        "otlp",
    }
)
"""The top-level keys of a prometheus.yml."""


class GlobalScrape(Section):
    """Prometheus's keys of `global`."""

    scrape_interval: DurationMs = 60_000
    scrape_timeout: DurationMs = 0
    scrape_protocols: Protocols = PROTOCOLS
    evaluation_interval: DurationMs = 60_000
    rule_query_offset: DurationMs = 0
    query_log_file: str = ""
    scrape_failure_log_file: str = ""
    external_labels: TextMap = Field({})
    body_size_limit: ByteSize = 0
    sample_limit: Count = 0
    target_limit: Count = 0
    label_limit: Count = 0
    label_name_length_limit: Count = 0
    label_value_length_limit: Count = 0
    keep_dropped_targets: Count = 0
    metric_name_validation_scheme: str = ""
    metric_name_escaping_scheme: str = ""
    always_scrape_classic_histograms: bool = False
    convert_classic_histograms_to_nhcb: bool = False


GLOBAL_KEYS = frozenset(GlobalScrape.model_fields)
"""The keys of `global` that are read here; the others there are Alertmanager's."""


@dataclass(frozen=True, slots=True)
class PrometheusPart:
    """What a prometheus.yml says, as the stages take it."""

    jobs: tuple[ScrapeJob, ...] = ()
    evaluation_interval_ms: int = 60_000
    rule_query_offset_ms: int = 0
    external_labels: Mapping[str, str] = field(default_factory=dict)
    max_exemplars: int = 100_000
    warnings: tuple[Problem, ...] = ()
    faults: tuple[Problem, ...] = ()
    """What is not watched though the file says so."""


EMPTY = PrometheusPart()

_WITHOUT_EFFECT = {
    "runtime": "it tunes Prometheus's own runtime",
    "tracing": "Tocsin does not trace itself",
    "remote_read": "use `source:` to read from another Prometheus",
    "otlp": "OTLP is accepted with Prometheus's default translation",
}


def read(part: Mapping[str, Any], tree: Tree) -> PrometheusPart:
    """The sections `KEYS` of a document (secrets resolved; `global` holds `GLOBAL_KEYS` only). Raises ConfigError."""
    settings, problems = _global(part.get("global") or {}, tree)
    jobs, faults, more = _jobs(part, settings, tree)
    max_exemplars, storage = _storage(part.get("storage"), tree)
    problems += [*more, *storage]
    problems += [
        Problem(tree.place((key,)), key, f"has no effect: {why}", warning=True)
        for key, why in _WITHOUT_EFFECT.items()
        if part.get(key)
    ]
    if any(not problem.warning for problem in problems):
        raise ConfigError(problems)
    return PrometheusPart(
        tuple(jobs),
        settings.evaluation_interval,
        settings.rule_query_offset,
        settings.external_labels,
        max_exemplars,
        tuple(problems),
        tuple(faults),
    )


def _storage(value: Any, tree: Tree) -> tuple[int, list[Problem]]:
    """`storage.exemplars.max_exemplars`; the rest is Prometheus's own store. The default is Prometheus's."""
    section = value if isinstance(value, Mapping) else {}
    exemplars = section.get("exemplars") or {}
    most = exemplars.get("max_exemplars", 100_000) if isinstance(exemplars, Mapping) else None
    path = ("storage", "exemplars", "max_exemplars")
    if not isinstance(most, int) or isinstance(most, bool):
        return 0, [Problem(tree.place(path), path_text(path), "expected a number of exemplars")]
    if value and set(section) != {"exemplars"}:
        text = "has no effect: Tocsin's store is set up under `store:`"
        return max(most, 0), [Problem(tree.place(("storage",)), "storage", text, warning=True)]
    return max(most, 0), []


def _jobs(part: Mapping[str, Any], settings: GlobalScrape, tree: Tree) -> tuple[list[ScrapeJob], list[Problem], list[Problem]]:
    """The jobs, what of them is not watched, and what is wrong."""
    entries, problems = _entries(part, tree)
    jobs: list[ScrapeJob] = []
    faults: list[Problem] = []
    places: dict[str, str] = {}
    for config, unsupported, config_tree, path in entries:
        problems += _doubts(config, config_tree, path)
        for key in unsupported:
            text = f"the job {config.job_name!r} is not watched as it says: {way_out(key)}"
            faults.append(Problem(config_tree.place((*path, key)), path_text((*path, key)), text))
        place = config_tree.place(path)
        if config.job_name in places:
            text = f"two scrape jobs are named {config.job_name!r}; the other one is at {places[config.job_name]}"
            problems.append(Problem(config_tree.place((*path, "job_name")), path_text((*path, "job_name")), text))
            continue
        places[config.job_name] = str(place)
        try:
            jobs.append(_job(config, unsupported, settings, Path(place.file).parent))
        except ValueError as error:
            problems.append(Problem(place, path_text(path), str(error)))
    return jobs, faults, problems


def _global(value: Any, tree: Tree) -> tuple[GlobalScrape, list[Problem]]:
    if not isinstance(value, Mapping):
        return GlobalScrape(), [Problem(tree.place(("global",)), "global", "expected a mapping")]
    try:
        settings = GlobalScrape.model_validate({k: v for k, v in value.items() if k in GLOBAL_KEYS and v is not None})
    except ValidationError as error:
        return GlobalScrape(), problems_of(error, tree, ("global",))
    problems = []
    if settings.scrape_timeout > settings.scrape_interval:
        place = tree.place(("global", "scrape_timeout"))
        problems.append(Problem(place, "global.scrape_timeout", "global scrape timeout greater than scrape interval"))
    for key in ("query_log_file", "scrape_failure_log_file"):
        if getattr(settings, key):
            problems.append(Problem(tree.place(("global", key)), f"global.{key}", _IGNORED_LOG, warning=True))
    return settings, problems


_Entry = tuple[ScrapeConfig, tuple[str, ...], Tree, TreePath]
"""A job, the keys of discoveries that Tocsin does not ask, and where it stands."""


def _entries(value: Mapping[str, Any], tree: Tree) -> tuple[list[_Entry], list[Problem]]:
    """Validated scrape configurations of the document and of the files it names."""
    entries, problems = _validated(value.get("scrape_configs"), tree, ("scrape_configs",))
    patterns = value.get("scrape_config_files") or []
    if not isinstance(patterns, list):
        return entries, [
            *problems,
            Problem(tree.place(("scrape_config_files",)), "scrape_config_files", "expected a list of paths"),
        ]
    base = Path(tree.place(("scrape_config_files",)).file).parent
    for file in sorted({file for pattern in patterns for file in glob.glob(str(base / str(pattern)))}):
        try:
            other = parse_yaml(Path(file).read_text(), file)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(tree.place(("scrape_config_files",)), "scrape_config_files", f"cannot read {file}: {error}"))
            continue
        except ConfigError as error:
            problems += error.problems
            continue
        configs = other.value.get("scrape_configs") if isinstance(other.value, dict) else None
        found, more = _validated(configs, other, ("scrape_configs",))
        entries += found
        problems += more
    return entries, problems


def _validated(value: Any, tree: Tree, path: TreePath) -> tuple[list[_Entry], list[Problem]]:
    entries: list[_Entry] = []
    problems: list[Problem] = []
    if value is None:
        return entries, problems
    if not isinstance(value, list):
        return entries, [Problem(tree.place(path), path_text(path), "expected a list of scrape configurations")]
    for i, entry in enumerate(value):
        known, unsupported = without_unsupported(entry)
        try:
            entries.append((ScrapeConfig.model_validate(known), unsupported, tree, (*path, i)))
        except ValidationError as error:
            problems += problems_of(error, tree, (*path, i))
    return entries, problems


_IGNORED_LOG = "Tocsin logs failed scrapes in its own log; this file is not written"
_IGNORED = {
    "scrape_failure_log_file": _IGNORED_LOG,
    "always_scrape_classic_histograms": "Tocsin always stores classic histograms",
    "convert_classic_histograms_to_nhcb": "Tocsin stores classic histograms as they are",
    "native_histogram_bucket_limit": "Tocsin scrapes classic histograms only",
    "native_histogram_min_bucket_factor": "Tocsin scrapes classic histograms only",
    "metric_name_escaping_scheme": "Tocsin asks for names as they are",
}


def _doubts(config: ScrapeConfig, tree: Tree, path: TreePath) -> list[Problem]:
    """Warnings about keys that are accepted but change nothing."""
    out = [
        Problem(tree.place((*path, key)), path_text((*path, key)), f"has no effect: {why}", warning=True)
        for key, why in _IGNORED.items()
        if getattr(config, key)
    ]
    if "PrometheusProto" in (config.scrape_protocols or ()):
        where = (*path, "scrape_protocols")
        out.append(
            Problem(tree.place(where), path_text(where), "PrometheusProto is not asked for; the text formats are", warning=True)
        )
    return out


# -- conversion --------------------------------------------------------------------------------------------------------


def _job(config: ScrapeConfig, unsupported: tuple[str, ...], settings: GlobalScrape, base: Path) -> ScrapeJob:
    """Raises ValueError where the values do not fit together."""
    interval_ms, timeout_ms = _times(config, settings)
    return ScrapeJob(
        name=config.job_name,
        static=tuple(_group(config.job_name, i, group) for i, group in enumerate(config.static_configs)),
        discovery=(
            *(_files(entry, base) for entry in config.file_sd_configs),
            *(HttpDiscovery(entry.url, entry.refresh_interval, entry.http(base)) for entry in config.http_sd_configs),
            *(DnsDiscovery(entry.names, entry.type, entry.port, entry.refresh_interval) for entry in config.dns_sd_configs),
            *(entry.discovery(base) for entry in config.docker_sd_configs),
            *(entry.discovery(base) for entry in config.kubernetes_sd_configs),
            *(UnsupportedDiscovery(key, way_out(key)) for key in unsupported),
        ),
        interval_ms=interval_ms,
        timeout_ms=timeout_ms,
        scheme=config.scheme,
        path=config.metrics_path,
        params=config.params,
        honor_labels=config.honor_labels,
        honor_timestamps=config.honor_timestamps,
        track_timestamps_staleness=config.track_timestamps_staleness,
        relabel=tuple(entry.rule() for entry in config.relabel_configs),
        metric_relabel=tuple(entry.rule() for entry in config.metric_relabel_configs),
        limits=_limits(config, settings),
        http=HttpClientConfig.http(config, base),
        protocols=tuple(p for p in config.scrape_protocols or settings.scrape_protocols if p in PROTOCOLS) or PROTOCOLS,
        fallback_protocol=config.fallback_scrape_protocol,
        compression=config.enable_compression,
    )


def _times(config: ScrapeConfig, settings: GlobalScrape) -> tuple[int, int]:
    interval_ms = config.scrape_interval or settings.scrape_interval or 60_000
    timeout_ms = config.scrape_timeout or min(settings.scrape_timeout or 10_000, interval_ms)
    if timeout_ms > interval_ms:
        given = f"{format_duration(timeout_ms)} > {format_duration(interval_ms)}"
        raise ValueError(
            f"scrape timeout greater than scrape interval for scrape config with job name {config.job_name!r} ({given})"
        )
    return interval_ms, timeout_ms


def _group(job: str, index: int, group: StaticConfig) -> TargetGroup:
    return TargetGroup(group.targets, Labels(group.labels), f"{job}/{index}")


def _files(entry: FileSd, base: Path) -> FileDiscovery:
    return FileDiscovery(tuple(str(base / file) for file in entry.files), entry.refresh_interval)


def _limits(config: ScrapeConfig, settings: GlobalScrape) -> ScrapeLimits:
    return ScrapeLimits(
        config.body_size_limit or settings.body_size_limit,
        config.sample_limit or settings.sample_limit,
        config.label_limit or settings.label_limit,
        config.label_name_length_limit or settings.label_name_length_limit,
        config.label_value_length_limit or settings.label_value_length_limit,
        config.target_limit or settings.target_limit,
        config.keep_dropped_targets or settings.keep_dropped_targets,
    )
