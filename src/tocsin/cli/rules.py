"""`tocsin rules test|check`: promtool's unit tests and verdicts."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.group()
def rules() -> None:
    """Rule files."""


@rules.command("test")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def test(files: tuple[Path, ...]) -> None:
    """Run promtool's rule unit-test files."""
    from tocsin.rules.testing import run_rule_tests

    failed = False
    for result in run_rule_tests(files):
        click.echo(result.text)
        failed = failed or not result.ok
    sys.exit(1 if failed else 0)


@rules.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Parse rule files; say what is wrong and, as warnings, what will be noisy or useless at night, with the line."""
    from tocsin.rules.lint import lint
    from tocsin.rules.rulefile import parse_rule_file

    failed = False
    for path in files:
        groups, problems = parse_rule_file(path.read_text(), str(path))
        for problem in [*problems, *lint(groups)]:
            click.echo(str(problem), err=not problem.warning)
            failed = failed or not problem.warning
        click.echo(f"{path}: {sum(len(group.rules) for group in groups)} rules found")
    sys.exit(1 if failed else 0)
