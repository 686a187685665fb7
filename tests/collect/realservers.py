"""Real Redis, MariaDB, PostgreSQL, RabbitMQ and SSH servers on free ports, for tests marked `server` and `postgres`."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def binary(name: str, *folders: str) -> str:
    """Path of a program, or skip naming it."""
    for folder in folders:
        for path in sorted(Path("/").glob(f"{folder.lstrip('/')}/{name}"), reverse=True):
            return str(path)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def server_folder(*names: str) -> Iterator[tuple[Path, str | None]]:
    """An empty folder and the user to run a server as (database servers refuse root); None when we are not root.

    Not below pytest's own folder: every pytest of this machine closes that to other users.
    """
    folder = Path(tempfile.mkdtemp(prefix="tocsin-server-"))
    try:
        if os.geteuid() != 0:
            yield folder, None
            return
        found = [entry for entry in pwd.getpwall() if entry.pw_name in (*names, "nobody")]
        if not found:
            pytest.skip("no user to run a database server as")
        entry = min(found, key=lambda e: e.pw_name == "nobody")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield folder, entry.pw_name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(
    command: list[str], port: int, *, user: str | None = None, cwd: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[int]:
    """Run until the block ends; enters when the port accepts."""
    process = subprocess.Popen(command, user=user, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise AssertionError(f"{command[0]} ended with {process.returncode}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def frozen(port: int) -> Iterator[None]:
    """Who listens on the port does nothing: the kernel still accepts connections, and nobody says a word."""
    pids = {
        entry.pid for entry in psutil.net_connections("tcp") if entry.status == psutil.CONN_LISTEN and entry.laddr.port == port
    } - {None}
    assert pids, f"nobody listens on {port}"
    found = [psutil.Process(pid) for pid in pids]
    for process in found:
        process.suspend()
    try:
        yield
    finally:
        for process in found:
            process.resume()


def server_pair(folder: Path, pair: tuple[Path, Path], user: str | None) -> tuple[str, str]:
    """Certificate and key as files that a server of `user` may and will read."""
    copies = []
    for source, name in zip(pair, ("server.pem", "server.key"), strict=True):
        copy = folder / name
        copy.write_bytes(source.read_bytes())
        copy.chmod(0o600)
        if user is not None:
            os.chown(copy, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        copies.append(str(copy))
    return copies[0], copies[1]


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[int]:
    port = free_port()
    with running([binary("redis-server"), "--port", str(port), "--save", "", "--bind", "127.0.0.1", *options], port):
        yield port


@contextlib.contextmanager
def postgres_server(pair: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Trusts user postgres; other users need a password. `pair`: certificate and key for TLS."""
    initdb = binary("initdb", "/usr/lib/postgresql/*/bin")
    with server_folder("postgres") as (folder, user):
        port, data = free_port(), folder / "pg"
        subprocess.run(
            [initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C"],
            user=user, cwd="/", check=True, capture_output=True,
        )  # fmt: skip
        (data / "pg_hba.conf").write_text("host all pw 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
        command = [str(Path(initdb).parent / "postgres"), "-D", str(data), "-p", str(port), "-c", "unix_socket_directories="]
        command += ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "shared_preload_libraries=pg_stat_statements"]
        if pair is not None:
            certificate, key = server_pair(folder, pair, user)
            command += ["-c", "ssl=on", "-c", f"ssl_cert_file={certificate}", "-c", f"ssl_key_file={key}"]
        with running(command, port, user=user, cwd=Path("/")):
            yield port


@contextlib.contextmanager
def mariadb_server(pair: tuple[Path, Path] | None = None) -> Iterator[int]:
    """User `watch` has password `right`. `pair`: certificate and key for TLS."""
    installer, server = binary("mariadb-install-db"), binary("mariadbd")
    with server_folder("mysql") as (folder, user):
        port, data, start = free_port(), folder / "mysql", folder / "init.sql"
        users = [
            f"create user 'watch'@'{host}' identified by 'right';\ngrant all on *.* to 'watch'@'{host}';\n"
            for host in ("%", "localhost")
        ]
        start.write_text("".join(users))
        start.chmod(0o644)
        subprocess.run(
            [installer, "--no-defaults", f"--datadir={data}", "--skip-test-db", "--auth-root-authentication-method=normal"],
            user=user, cwd="/", check=True, capture_output=True,
        )  # fmt: skip
        command = [
            server, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1",
            f"--socket={folder}/s.sock", f"--init-file={start}", f"--pid-file={folder}/pid",
        ]  # fmt: skip
        if pair is not None:
            certificate, key = server_pair(folder, pair, user)
            command += [f"--ssl-cert={certificate}", f"--ssl-key={key}"]
        with running(command, port, user=user, cwd=Path("/")):
            yield port


@dataclass(frozen=True)
class Broker:
    """Ports of a running RabbitMQ; user `watch` has password `right`."""

    amqp: int
    amqps: int
    management: int


@contextlib.contextmanager
def rabbitmq_server(ca: Path, certificate: Path, key: Path) -> Iterator[Broker]:
    """A node of its own with its own port mapper, so that nothing outlives the test."""
    server, epmd = binary("rabbitmq-server", "/usr/lib/rabbitmq/lib/*/sbin"), binary("epmd")
    with server_folder("rabbitmq") as (folder, user):
        broker, epmd_port = Broker(free_port(), free_port(), free_port()), free_port()
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        for path, source in ((folder / "ca.pem", ca), (folder / "c.pem", certificate), (folder / "k.pem", key)):
            path.write_bytes(source.read_bytes())
            path.chmod(0o644)
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{broker.amqp}\nlisteners.ssl.local = 127.0.0.1:{broker.amqps}\n"
            f"ssl_options.cacertfile = {folder}/ca.pem\nssl_options.certfile = {folder}/c.pem\n"
            f"ssl_options.keyfile = {folder}/k.pem\nssl_options.verify = verify_none\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {broker.management}\n"
            "default_user = watch\ndefault_pass = right\n"
        )
        env = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port), "RABBITMQ_NODENAME": f"t{broker.amqp}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()), "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log", "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins", "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }  # fmt: skip
        mapper = [epmd, "-port", str(epmd_port), "-address", "127.0.0.1"]
        with (
            running(mapper, epmd_port, user=user, cwd=folder, env=env),
            running([server], broker.management, user=user, cwd=folder, env=env),  # its last port to open
        ):
            yield broker


@contextlib.contextmanager
def ssh_server() -> Iterator[int]:
    sshd, keygen = binary("sshd", "/usr/sbin"), binary("ssh-keygen")
    if os.geteuid() != 0 and not Path("/run/sshd").is_dir():
        pytest.skip("sshd needs the folder /run/sshd")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
        command = [sshd, "-D", "-f", "/dev/null", "-h", f"{folder}/key", "-p", str(port), "-o", "ListenAddress=127.0.0.1"]
        with running([*command, "-o", "PidFile=none"], port):
            yield port
