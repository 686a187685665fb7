"""`tocsin serve`, `tocsin probe`."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from tocsin.cli.main import config_option, data_dir_option
from tocsin.errors import UsageError


@click.command()
@config_option
@data_dir_option
@click.option(
    "--listen",
    default="127.0.0.1:8911",
    show_default=True,
    envvar="TOCSIN_LISTEN",
    help="HOST:PORT of the dashboard and the APIs.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    envvar="TOCSIN_LOG_LEVEL",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, envvar="TOCSIN_LOG_FORMAT")
def serve(config_paths: tuple[Path, ...], data_dir: Path, listen: str, log_level: str, log_format: str) -> None:
    """Start Tocsin: collect, evaluate, page, and serve the dashboard."""
    sys.exit(_serve(config_paths, data_dir, listen, log_level, log_format))


def _serve(config_paths: tuple[Path, ...], data_dir: Path, listen: str, log_level: str, log_format: str) -> int:
    from tocsin.log import configure_logging

    configure_logging(level=log_level, style=log_format, process="parent")
    host, port = parse_listen(listen)
    click.echo(f"Tocsin: data in {data_dir}, configuration {', '.join(map(str, config_paths)) or './tocsin.yaml if it exists'}")
    gc.disable()  # nothing of what is imported now is garbage; looking for it takes a sixth of the time
    from tocsin.app import ServeSettings
    from tocsin.process import serve as run

    settings = ServeSettings(
        config_paths=config_paths or (Path("tocsin.yaml"),),
        config_optional=not config_paths,
        data_dir=data_dir.absolute(),
        host=host,
        port=port,
        log_level=log_level,
        log_style=log_format,
    )
    return run(settings)


def parse_listen(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8911`, `[::1]:8911`, `:8911` -> host and port."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen {listen!r}: expected HOST:PORT such as 127.0.0.1:8911")
    return host.strip("[]") or "0.0.0.0", int(port)


@click.command()
@click.option("--core", required=True, envvar="TOCSIN_CORE", help="The URL of Tocsin, such as https://tocsin.example.")
@click.option("--token", required=True, envvar="TOCSIN_TOKEN", help="An API token with the role probe, bound to the place.")
@click.option("--location", required=True, envvar="TOCSIN_LOCATION", help="The name of this place in `locations:` of checks.")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="TOCSIN_CA_FILE",
    help="Certificates to trust instead of the system's.",
)
@click.option("--insecure", is_flag=True, help="Allow http:// to another machine: token and passwords can be read on the way.")
def probe(core: str, token: str, location: str, ca_file: Path | None, insecure: bool) -> None:
    """Run the checks of another place, and report to a Tocsin elsewhere.

    Runs until it is stopped; while Tocsin is away the checks run on, and what they saw is reported when it is back.
    """
    if not core.startswith(("http://", "https://")):
        raise UsageError(f"--core {core!r}: expected a URL such as https://tocsin.example")
    from tocsin.web.parts import is_loopback_name

    if core.startswith("http://") and not insecure and not is_loopback_name(urlsplit(core).hostname or ""):
        text = "the token and the passwords in the plan could be read on the way: use https://, or say --insecure"
        raise UsageError(f"--core {core!r}: {text}")
    if location == "local":
        raise UsageError("--location local: that is the probe beside the core; give this place a name of its own")
    from tocsin.app.agent import AgentSettings, run_agent
    from tocsin.log import configure_logging

    configure_logging(level="warning", style="text", process="probe")
    click.echo(f"Probing as {location!r} for {core}")
    asyncio.run(run_agent(AgentSettings(core, token, location, ca_file)))
