"""`tocsin`: the root command, and errors as people should see them."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from tocsin import __version__
from tocsin.errors import CommandError, ConfigError, TocsinError

_COMMANDS = {
    # name: (module, attribute)
    "serve": ("tocsin.cli.serve", "serve"),
    "probe": ("tocsin.cli.serve", "probe"),
    "status": ("tocsin.cli.status", "status"),
    "check": ("tocsin.cli.checks", "check"),
    "config": ("tocsin.cli.config", "config"),
    "rules": ("tocsin.cli.rules", "rules"),
    "backtest": ("tocsin.cli.backtest", "backtest"),
    "plan": ("tocsin.cli.backtest", "plan"),
    "route": ("tocsin.cli.config", "route"),
    "coverage": ("tocsin.cli.coverage", "coverage"),
    "query": ("tocsin.cli.query", "query"),
    "ack": ("tocsin.cli.incidents", "ack"),
    "resolve": ("tocsin.cli.incidents", "resolve"),
    "incidents": ("tocsin.cli.incidents", "incidents"),
    "why": ("tocsin.cli.incidents", "why"),
    "silence": ("tocsin.cli.silences", "silence"),
    "token": ("tocsin.cli.accounts", "token"),
    "user": ("tocsin.cli.accounts", "user"),
    "signin": ("tocsin.cli.accounts", "signin"),
    "notify": ("tocsin.cli.incidents", "notify"),
    "selftest": ("tocsin.cli.selftest", "selftest"),
    "report": ("tocsin.cli.report", "report"),
    "statuspage": ("tocsin.cli.statuspage", "statuspage"),
    "contact": ("tocsin.cli.contacts", "contact"),
    "oncall": ("tocsin.cli.oncall", "oncall"),
    "tsdb": ("tocsin.cli.tsdb", "tsdb"),
    "audit": ("tocsin.cli.incidents", "audit"),
}


class _LazyGroup(click.Group):
    """Knows its commands by name and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: Any = getattr(importlib.import_module(entry[0]), entry[1])
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tocsin")
def cli() -> None:
    """Monitoring, alerting and on-call in one command.

    `tocsin serve` watches this host and opens a dashboard; write a tocsin.yaml beside it for everything else.
    """


def main() -> None:
    """Run the command line; problems of operators become one clear line each and exit status 1 or 2."""
    # One thread each for BLAS: the parent process must fork without threads, and the kernels of numpy that we use need none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        cli(prog_name="tocsin")
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(1)
    except CommandError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except TocsinError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


def data_dir_option(function: Any) -> Any:
    """`--data-dir`, the same for every command."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("data"),
        show_default=True,
        envvar="TOCSIN_DATA_DIR",
        help="Where Tocsin keeps its samples and its state.",
    )(function)


def config_option(function: Any) -> Any:
    return click.option(
        "--config",
        "-c",
        "config_paths",
        type=click.Path(path_type=Path),
        multiple=True,
        envvar="TOCSIN_CONFIG",
        help="A configuration file or a folder of them; may be repeated. Default: ./tocsin.yaml if it exists.",
    )(function)


def json_option(function: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(function)
