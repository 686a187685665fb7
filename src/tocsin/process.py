"""`tocsin serve`: a warmed parent that forks core, probe and web, watches them, and restarts what dies.

    parent (imports everything, runs nothing) ──fork──▶ core ──┐
        ▲   ▲                                 ──fork──▶ probe ─┤ each: one pipe to the parent with a beat every 3 s
        │   └── restart at once when a child dies ◀────────────┤
        └────── SIGKILL when its beat stops                 web┘

The parent holds the listening socket: a connection made while web restarts waits instead of being refused. When the parent dies,
the kernel ends its children (PDEATHSIG); a file lock keeps a second Tocsin off the same data directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from tocsin.app.pulse import Pulse
from tocsin.errors import StateError, UsageError
from tocsin.log import configure_logging, get_log

if TYPE_CHECKING:
    from tocsin.app import ServeSettings

log = get_log("process")

_STARTING_DEADLINE_S = 300.0
"""A core may replay a long WAL before it beats; afterwards the deadline of its row below holds."""
_LOOK_S = 5.0
_QUICK_DEATH_S = 3.0
_QUICK_STARTS, _QUICK_STARTS_READY = 3, 10
_STOP_DEADLINE_S = 12.0
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


Main = Callable[["ServeSettings", Pulse, socket.socket], Awaitable[None]]


@dataclass
class _Child:
    name: str
    main: Main
    deadline_s: float
    oom_score: int
    pid: int = 0
    pipe: int = -1
    started_s: float = 0.0
    beat_s: float = 0.0
    ready: bool = False
    restarts: int = -1
    quick_deaths: int = 0
    start_at_s: float = 0.0
    buffer: bytes = field(default=b"", repr=False)


def serve(settings: ServeSettings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status.

    Raises UsageError, StateError and ConfigError before anything is started.
    """
    from tocsin import app
    from tocsin.app.allocator import one_arena
    from tocsin.app.preflight import preflight

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    settings.data_dir.chmod(0o700)
    lock = _lock(settings.data_dir / "serve.lock")
    outdated = preflight(settings)
    listener = _listen(settings.host, settings.port)
    if outdated:
        _migrate(settings)
    children = [
        _Child("core", app.run_core, deadline_s=30, oom_score=-300),
        _Child("probe", app.run_probe, deadline_s=20, oom_score=200),
        _Child("web", app.run_web, deadline_s=60, oom_score=500),
    ]
    importlib.import_module("numpy.ma")  # `numpy.unique` asks for it: once here instead of in each child
    one_arena()
    gc.freeze()  # what is loaded now stays in pages that the children share; looking for garbage in it first finds none
    gc.enable()
    return _Parent(settings, children, listener, lock).run()


def _migrate(settings: ServeSettings) -> None:
    """Let a child create or upgrade the state, so that what that takes (15 MB) is gone with it. What goes wrong there is left to
    the core, which looks again and tells it."""
    from tocsin import app

    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            os.umask(0o077)
            _die_with_parent(parent, "state")
            app.migrate(settings.data_dir)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
        raise StateError(
            f"the data directory {path.parent} is in use by another Tocsin (process {owner}); stop it or give another --data-dir"
        ) from None
    with contextlib.suppress(OSError):  # a full disk; the lock holds without our number in it
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
    return fd


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        where = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"the address {where} is taken by another program; choose another with --listen HOST:PORT") from None
        raise UsageError(f"cannot listen on {where}: {error.strerror}") from None
    listener.listen(1024)
    listener.set_inheritable(True)
    return listener


class _Parent:
    def __init__(self, settings: ServeSettings, children: list[_Child], listener: socket.socket, lock: int) -> None:
        self._settings = settings
        self._children = children
        self._listener = listener
        self._lock = lock
        self._stopping = False
        self._announced = False
        self._says: list[str] = []
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> int:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        while True:
            self._start_due()
            for key, _ in self._selector.select(timeout=self._patience_s()):
                if key.fd == self._wake_read:
                    self._take_signals()
                else:
                    self._hear(key.data)
            self._reap()
            self._kill_silent()
            if self._stopping:
                return self._stop()

    # -- children -----------------------------------------------------------------------------------------------------

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.pid == 0 and now >= child.start_at_s:
                self._fork(child)

    def _patience_s(self) -> float:
        """How long nothing is due; signals, deaths and beats wake the parent before."""
        starts = [child.start_at_s - time.monotonic() for child in self._children if child.pid == 0]
        return max(0.0, min([_LOOK_S, *starts]))

    def _fork(self, child: _Child) -> None:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        child.restarts += 1
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            self._become(child, write_end, parent)
        os.close(write_end)
        child.pid, child.pipe, child.buffer, child.ready = pid, read_end, b"", False
        child.started_s = child.beat_s = time.monotonic()
        self._selector.register(read_end, selectors.EVENT_READ, child)

    def _become(self, child: _Child, pipe: int, parent: int) -> None:
        """In the child: never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.umask(0o077)
            _die_with_parent(parent, child.name)
            self._selector.close()
            for fd in (
                self._lock,
                self._wake_read,
                self._wake_write,
                *(c.pipe for c in self._children if c.pid and c is not child),
            ):
                with contextlib.suppress(OSError):
                    os.close(fd)
            if child.name != "web":
                self._listener.close()
            with contextlib.suppress(OSError):
                Path("/proc/self/oom_score_adj").write_text(str(child.oom_score))
            configure_logging(level=self._settings.log_level, style=self._settings.log_style, process=child.name)
            _run_main(child.main, self._settings, Pulse(pipe, child.restarts, child.name), self._listener)
            status = 0
        except BaseException:
            log.exception("process ended by an error", process=child.name)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _hear(self, child: _Child) -> None:
        try:
            data = os.read(child.pipe, 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(child.pipe)
            os.close(child.pipe)
            child.pipe = -1
            return
        *lines, child.buffer = (child.buffer + data).split(b"\n")
        for line in lines:
            child.beat_s = time.monotonic()
            if line == b"ready":
                child.ready = True
                self._announce()
            elif line.startswith(b"say "):
                self._say(line[4:].decode(errors="replace"))

    def _say(self, text: str) -> None:
        if self._announced:
            print(text, flush=True)
        else:
            self._says.append(text)

    def _announce(self) -> None:
        if self._announced or not all(child.ready for child in self._children):
            return
        self._announced = True
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        print(f"Tocsin is ready at http://{host}:{self._settings.port}", flush=True)
        for text in self._says:
            print(text, flush=True)

    def _reap(self) -> None:
        for child in self._children:
            if not child.pid:
                continue
            try:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = child.pid, 0
            if pid:
                self._died(child, status)

    def _died(self, child: _Child, status: int) -> None:
        lived_s = time.monotonic() - child.started_s
        if child.pipe >= 0:
            self._hear(child)
        if child.pipe >= 0:
            self._selector.unregister(child.pipe)
            os.close(child.pipe)
            child.pipe = -1
        child.pid = 0
        # At once the first times; a child that cannot stay alive is tried every second, not in a hot loop. One that got to
        # work before it died has more tries: somebody else may have ended it.
        child.quick_deaths = child.quick_deaths + 1 if lived_s < _QUICK_DEATH_S else 0
        tries = _QUICK_STARTS_READY if child.ready else _QUICK_STARTS
        child.start_at_s = time.monotonic() + (1.0 if child.quick_deaths > tries else 0.0)
        if not self._stopping:
            how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}"
            log.warning("process died, starting it again", process=child.name, how=how, lived_s=f"{lived_s:.1f}")

    def _kill_silent(self) -> None:
        now = time.monotonic()
        for child in self._children:
            deadline = child.deadline_s if child.ready else _STARTING_DEADLINE_S
            if child.pid and now - child.beat_s > deadline:
                log.error("process does not answer, killing it", process=child.name, silent_s=f"{now - child.beat_s:.0f}")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
                child.beat_s = now

    # -- signals ------------------------------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._wake_read, 64):
                if number in (signal.SIGTERM, signal.SIGINT):
                    self._stopping = True
                elif number == signal.SIGHUP:
                    self._signal("core", signal.SIGHUP)

    def _signal(self, name: str, number: signal.Signals) -> None:
        for child in self._children:
            if child.name == name and child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)

    def _stop(self) -> int:
        """Stop what brings new work first, the core last."""
        self._listener.close()
        for name in ("web", "probe", "core"):
            self._signal(name, signal.SIGTERM)
            child = next(c for c in self._children if c.name == name)
            deadline = time.monotonic() + _STOP_DEADLINE_S
            while child.pid and time.monotonic() < deadline:
                self._reap()
                time.sleep(0.02)
            if child.pid:
                log.error("process did not stop in time, killing it", process=name)
                self._signal(name, signal.SIGKILL)
                os.waitpid(child.pid, 0)
        return 0


def _die_with_parent(parent: int, name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    libc.prctl(_PR_SET_NAME, f"tocsin-{name}".encode(), 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def _run_main(main: Main, settings: ServeSettings, pulse: Pulse, listener: socket.socket) -> None:
    async def body() -> None:
        beat = asyncio.create_task(pulse.beat_forever())
        try:
            await main(settings, pulse, listener)
        finally:
            beat.cancel()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(body())
