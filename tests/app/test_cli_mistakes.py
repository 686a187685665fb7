"""Commands with a mistake answer with one line that says what to do, never with a traceback or an empty right-looking answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tocsin.cli.main import cli
from tocsin.errors import TocsinError


def mistake(*args: str) -> str:
    result = CliRunner().invoke(cli, args)
    assert isinstance(result.exception, TocsinError), result.output
    return str(result.exception)


@pytest.mark.parametrize("command", [("tsdb", "stats"), ("tsdb", "verify"), ("tsdb", "export", "up")])
def test_a_folder_without_a_store_is_said(command: tuple[str, ...], tmp_path: Path) -> None:
    assert mistake(*command, "--data-dir", str(tmp_path)) == f"there is no store in {tmp_path}; give --data-dir"


@pytest.mark.parametrize("command", ["add", "password"])
def test_a_weak_password_is_refused_in_one_line(command: str, tmp_path: Path) -> None:
    said = mistake("user", command, "ana", "--password", "abc", "--data-dir", str(tmp_path))
    assert said == "a password needs at least 10 characters"


@pytest.mark.parametrize("command", ["who", "shifts", "gaps"])
def test_no_schedule_is_not_no_gaps(command: str, tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("users: [{name: ana, email: ana@shop.example}]\n")
    assert "no schedule is configured" in mistake("oncall", command, "-c", str(tmp_path / "tocsin.yaml"))


def test_tokens_and_accounts_are_listed_with_the_id_that_revoke_takes(tmp_path: Path) -> None:
    run = CliRunner().invoke
    folder = ["--data-dir", str(tmp_path)]
    run(cli, ["token", "create", "--name", "ci", *folder], catch_exceptions=False)
    run(cli, ["user", "add", "ana", "--password", "correct horse battery", *folder], catch_exceptions=False)
    listed = run(cli, ["token", "list", *folder], catch_exceptions=False).output
    assert listed.split()[1:] == ["viewer", "never", "used", "ci"]
    assert run(cli, ["token", "revoke", listed.split()[0], *folder], catch_exceptions=False).output == "revoked\n"
    assert "no tokens" in run(cli, ["token", "list", *folder], catch_exceptions=False).output
    assert run(cli, ["user", "list", *folder], catch_exceptions=False).output.split() == ["ana", "responder"]
