"""The exposition path alone, no sockets: nanoseconds per line of a known layout, and of a first sight.

PYTHONPATH=src python bench/engine/scrape_layout.py
"""

from __future__ import annotations

from time import perf_counter

from tocsin.collect.layout import Layout
from tocsin.model.labels import Labels


def body(samples: int, round_: int) -> bytes:
    """Half of the lines differ between rounds."""
    lines = [
        f'app_requests_total{{method="GET",path="/api/resource/{i}",status="200",zone="eu-west-1"}} {1000 + i + round_ * (i % 2)}'
        for i in range(samples)
    ]
    return ("\n".join(lines) + "\n").encode()


def keep(labels: Labels) -> Labels:
    return labels


def main() -> None:
    for samples in (500, 2000, 20_000):
        bodies = [body(samples, n) for n in range(2)]
        best = first = float("inf")
        for _ in range(5):
            layout = Layout(keep)
            start = perf_counter()
            layout.read(bodies[0], "text")
            first = min(first, perf_counter() - start)
            for n in range(1, 11):
                start = perf_counter()
                assert layout.read(bodies[n % 2], "text").same_layout
                best = min(best, perf_counter() - start)
        known_ns, first_ns = best / samples * 1e9, first / samples * 1e9
        print(f"{samples:6} samples: known layout {known_ns:5.0f} ns a line, first sight {first_ns:6.0f} ns a line")


if __name__ == "__main__":
    main()
