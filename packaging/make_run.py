"""What `make run` and `make demo` do, with nothing but the standard library: one line per step, then Tocsin.

Each step leaves a stamp of what it did (a hash of its inputs) in `.venv`, so that a second run starts at once.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
TOOLS = VENV / "buildtools"
REQUIREMENTS = ROOT / "requirements"

sys.path.insert(0, str(ROOT / "packaging"))
import ui_build  # noqa: E402

_started = time.monotonic()


def say(line: str) -> None:
    print(f"[{time.monotonic() - _started:5.1f} s] {line}", flush=True)


def stop(message: str) -> None:
    sys.exit(f"error: {message}")


def main(arguments: list[str]) -> None:
    if sys.version_info < (3, 11):
        stop(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; try `make run PYTHON=python3.12`")
    dev = "--install-dev" in arguments
    demo = "--demo" in arguments
    rest = [a for a in arguments if a not in ("--install-dev", "--install-extras", "--demo")]
    make_venv()
    if "--install-extras" in arguments:
        install(REQUIREMENTS / "extras.txt", "extras", covered_by=("dev",))
        return
    install(REQUIREMENTS / ("dev.txt" if dev else "run.txt"), "dev" if dev else "run", covered_by=() if dev else ("dev",))
    install_tocsin()
    if dev:
        return
    build_dashboard()
    run(demo, rest)


def make_venv() -> None:
    if (BIN / "python").exists():
        return
    say("creating .venv")
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False)
    if done.returncode:
        stop("could not create .venv; on Debian and Ubuntu install the package python3-venv")


def stamp_of(*paths: Path, extra: str = "") -> str:
    digest = hashlib.sha256(extra.encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install(requirements: Path, name: str, covered_by: tuple[str, ...] = (), target: Path | None = None) -> None:
    stamp = VENV / f"{name}.stamp"
    wanted = stamp_of(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        stamp.touch()
        return
    for other in covered_by:
        file, done_stamp = REQUIREMENTS / f"{other}.txt", VENV / f"{other}.stamp"
        if done_stamp.exists() and done_stamp.read_text() == stamp_of(file):
            return
    say(f"installing {requirements.relative_to(ROOT)} (locked versions, checked hashes)")
    command = [
        str(BIN / "python"),
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        str(requirements),
    ]
    if target is not None:
        command += ["--target", str(target), "--upgrade"]
    quiet = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if quiet.returncode:
        stop(f"pip could not install {requirements.name}:\n{quiet.stdout[-3000:]}")
    stamp.write_text(wanted)


def install_tocsin() -> None:
    stamp = VENV / "tocsin.stamp"
    wanted = stamp_of(ROOT / "pyproject.toml", extra=str(ROOT))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    install(REQUIREMENTS / "build.txt", "buildtools", target=TOOLS)
    say("installing tocsin from this folder")
    environment = {**os.environ, "PYTHONPATH": str(TOOLS), "TOCSIN_UI": "skip"}
    command = [
        str(BIN / "python"),
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
    ]
    done = subprocess.run([*command, "-e", str(ROOT)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        stop(f"pip could not install tocsin:\n{(done.stdout + done.stderr)[-3000:]}")
    stamp.write_text(wanted)


def build_dashboard() -> None:
    mode = os.environ.get("TOCSIN_UI", "build")
    if mode in ("skip", "prebuilt") or ui_build.is_current(ROOT / "ui"):
        return
    install(REQUIREMENTS / "build.txt", "buildtools", target=TOOLS)
    sys.path.insert(0, str(TOOLS))
    try:
        ui_build.build(ROOT / "ui", say)
    except ui_build.UiBuildError as error:
        stop(str(error))


def run(demo: bool, rest: list[str]) -> None:
    say("starting Tocsin")
    os.chdir(ROOT)
    tocsin = str(BIN / "tocsin")
    if not demo:
        os.execv(tocsin, [tocsin, "serve", *rest])
    install(REQUIREMENTS / "demo.txt", "demo", covered_by=("dev",))
    shop = ROOT / "examples" / "demo-shop"
    serve = [tocsin, "serve", "--config", str(shop / "tocsin.yaml"), "--data-dir", "data/demo", *rest]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in ([str(BIN / "python"), str(shop / "demo.py")], serve):
            started.append(subprocess.Popen(command))
        sys.exit(started[-1].wait())
    finally:  # also after Ctrl-C, which the terminal sends to all of them
        for process in reversed(started):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
