"""Simulated services with injected incidents and nuisances.

Version 1. Everything follows from the seed. What could be chosen otherwise is fixed here and nowhere else: AR(1) innovation 0.02,
p95 jitter 0.08 (log), request times log-normal with sigma 0.5 around the median that gives the wanted p95, a service that
is down answers neither scrape nor probe, a probe every 15 s takes as long as a request and fails with the service's error
probability, low-traffic errors are errors of single callers in the quieter half of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

VERSION = 1
STEP_S = 15
PER_DAY = 86_400 // STEP_S
START_MS = 1_735_516_800_000  # Monday 2024-12-30 00:00 UTC
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SIGMA = 0.5

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of incident: how often a service-week, how long (s), and within how many seconds somebody must hear."""

    per_week: float
    shortest_s: float
    longest_s: float
    deadline_s: float
    pages: bool
    """A page is required; otherwise a warning is enough."""


INCIDENTS = {
    "hard_down": Kind(0.10, 180, 1800, 120, True),
    "error_spike": Kind(0.20, 300, 1800, 300, True),
    "error_slow_burn": Kind(0.15, 7200, 28_800, 3600, False),
    "latency_step": Kind(0.15, 600, 7200, 300, True),
    "latency_warn": Kind(0.20, 1200, 7200, 900, False),
    "flap": Kind(0.05, 1800, 3600, 600, True),
}
NUISANCES = {"scrape_gap": 2.0, "probe_failure": 1.5, "deploy_blip": 3.0, "gc_pause": 7.0, "low_traffic_errors": 4.0}


@dataclass(frozen=True, slots=True)
class Incident:
    kind: str
    start_s: int
    end_s: int
    detail: float
    """Error ratio, or p95 in seconds; 0 where neither applies."""


@dataclass(slots=True)
class Service:
    """One service's signals on the 15 s grid, [m] each, and the truth about them."""

    name: str
    base_rps: float
    requests: Float64
    errors: Float64
    buckets: Float64
    """Requests per bucket and step, not cumulative over either: [len(BUCKETS) + 1, m]."""
    up: npt.NDArray[np.bool_]
    probe_ok: npt.NDArray[np.bool_]
    probe_s: Float64
    incidents: list[Incident]
    nuisances: list[tuple[str, int]]


def generate(seed: int, *, services: int = 40, days: int = 28) -> list[Service]:
    """All services of one seed. One service draws from a stream of its own, so that their number changes nothing."""
    return [one(seed, index, days) for index in range(services)]


def one(seed: int, index: int, days: int) -> Service:
    return _service(np.random.default_rng([VERSION, seed, index]), f"s{index:02d}", days)


def _service(random: np.random.Generator, name: str, days: int) -> Service:
    m = days * PER_DAY
    base_rps = float(10 ** random.uniform(-1, 2.3))
    rate = base_rps * _rhythm(random, m)
    error_ratio = np.full(m, 10 ** random.uniform(-4, -2.6))
    p95 = 10 ** random.uniform(-1.2, -0.5) * np.exp(random.normal(0, 0.08, m))
    down = np.zeros(m, bool)
    gap = np.zeros(m, bool)
    lost_probe = np.zeros(m, bool)
    incidents = _incidents(random, days)
    for incident in incidents:
        span = slice(incident.start_s // STEP_S, -(-incident.end_s // STEP_S))
        match incident.kind:
            case "hard_down":
                down[span] = True
            case "flap":  # 30 s down, 60 s up
                steps = np.arange(m)[span]
                down[steps[(steps - steps[0]) % 6 < 2]] = True
            case "error_spike" | "error_slow_burn":
                error_ratio[span] = incident.detail
            case "latency_step" | "latency_warn":
                p95[span] = incident.detail * np.exp(random.normal(0, 0.08, p95[span].size))
    caller_errors = np.zeros(m)  # errors of single callers: no probe sees them
    nuisances = _nuisances(random, days, rate, error_ratio, caller_errors, p95, gap, lost_probe)
    requests = random.poisson(rate * STEP_S).astype(np.float64)
    requests[down] = 0
    errors = random.binomial(requests.astype(np.int64), np.maximum(error_ratio, caller_errors)).astype(np.float64)
    probe_s = p95 / np.exp(1.645 * SIGMA) * np.exp(random.normal(0, SIGMA, m))
    probe_ok = ~down & ~lost_probe & (random.random(m) >= error_ratio)
    return Service(
        name,
        base_rps,
        requests,
        errors,
        _bucketed(random, requests - errors, p95),
        ~(gap | down),
        probe_ok,
        probe_s,
        incidents,
        nuisances,
    )


def _rhythm(random: np.random.Generator, m: int) -> Float64:
    """Day, weekend and AR(1) noise; mean about 1."""
    t = np.arange(m) * STEP_S
    day = 1 + random.uniform(0.2, 0.8) * np.sin(2 * np.pi * (t / 86_400 + random.random()))
    weekend = np.where((t // 86_400) % 7 >= 5, random.uniform(0.4, 1), 1.0)
    noise = random.normal(0, 0.02, m)
    for i in range(1, m):  # AR(1): each step needs the one before
        noise[i] += 0.98 * noise[i - 1]
    return np.asarray(day * weekend * np.exp(noise))


def _incidents(random: np.random.Generator, days: int) -> list[Incident]:
    """Poisson numbers of each kind, never overlapping within an hour of each other, and none in the first two hours."""
    wanted: list[Incident] = []
    for kind, settings in INCIDENTS.items():
        for _ in range(random.poisson(settings.per_week * days / 7)):
            start_s = int(random.uniform(7200, days * 86_400 - settings.longest_s))
            end_s = start_s + int(random.uniform(settings.shortest_s, settings.longest_s))
            detail = {
                "error_spike": random.uniform(0.06, 0.50),
                "error_slow_burn": random.uniform(0.012, 0.03),
                "latency_step": random.uniform(5.5, 12),
                "latency_warn": random.uniform(1.2, 3),
            }.get(kind, 0.0)
            wanted.append(Incident(kind, start_s // STEP_S * STEP_S, end_s // STEP_S * STEP_S, float(detail)))
    chosen: list[Incident] = []
    for incident in sorted(wanted, key=lambda one: one.start_s):
        if not chosen or incident.start_s > chosen[-1].end_s + 3600:
            chosen.append(incident)
    return chosen


def _nuisances(
    random: np.random.Generator,
    days: int,
    rate: Float64,
    error_ratio: Float64,
    caller_errors: Float64,
    p95: Float64,
    gap: npt.NDArray[np.bool_],
    lost_probe: npt.NDArray[np.bool_],
) -> list[tuple[str, int]]:
    """What must not page anybody, worked into the signals. Returns (kind, start s)."""
    happened: list[tuple[str, int]] = []
    m = rate.size
    quiet = np.flatnonzero(rate[480 : m - 40] < np.median(rate)) + 480
    for kind, per_week in NUISANCES.items():
        for _ in range(random.poisson(per_week * days / 7)):
            at = int(random.integers(480, m - 40))
            happened.append((kind, at * STEP_S))
            match kind:
                case "scrape_gap":
                    gap[at : at + int(random.integers(1, 13))] = True  # 15 s to 3 min
                case "probe_failure":
                    lost_probe[at] = True
                case "deploy_blip":
                    span = slice(at, at + int(random.integers(2, 7)))  # 30 to 90 s
                    p95[span] *= random.uniform(2, 8)
                    error_ratio[span] = np.maximum(error_ratio[span], random.uniform(0.02, 0.15))
                case "gc_pause":
                    span = slice(at, at + int(random.integers(1, 3)))
                    p95[span] = np.maximum(p95[span], random.uniform(2, 9))
                case "low_traffic_errors":  # a minute of 20 % errors in the quieter half of the time
                    at = int(quiet[random.integers(0, quiet.size)])
                    span = slice(at, at + 4)
                    caller_errors[span] = 0.2
                    happened[-1] = (kind, at * STEP_S)
    return happened


def _bucketed(random: np.random.Generator, requests: Float64, p95: Float64) -> Float64:
    """Requests spread over the buckets of a log-normal with that p95: [buckets + 1, m]."""
    median = p95 / np.exp(1.645 * SIGMA)
    z = (np.log(np.array(BUCKETS))[:, None] - np.log(median)) / SIGMA
    cumulative = np.concatenate([_normal_cdf(z), np.ones((1, p95.size))])
    left = requests.astype(np.int64)
    out = np.empty((len(BUCKETS) + 1, p95.size))
    below = np.zeros(p95.size)
    for i in range(len(BUCKETS) + 1):  # a multinomial drawn bucket by bucket, each binomial of what is left
        share = np.clip((cumulative[i] - below) / np.maximum(1 - below, 1e-12), 0, 1)
        drawn = random.binomial(left, share)
        out[i] = drawn
        left = left - drawn
        below = cumulative[i]
    return out


def _normal_cdf(z: Float64) -> Float64:
    """Abramowitz and Stegun 26.2.17; error below 7.5e-8, enough for drawing."""
    t = 1 / (1 + 0.2316419 * np.abs(z))
    poly = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    upper = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * poly
    return np.where(z >= 0, 1 - upper, upper)
