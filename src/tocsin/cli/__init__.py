"""The command line. Each command imports what it needs when it runs, so that `tocsin --help` is quick."""

from tocsin.cli.main import main

__all__ = ["main"]
