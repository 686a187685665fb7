"""Commands with a mistake answer with one line that says what to do, never with a traceback or an empty right-looking answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tocsin.app import open_state
from tocsin.cli.main import cli
from tocsin.errors import TocsinError
from tocsin.model.event import Actor
from tocsin.web.passkeys import add_passkey


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


def test_passkeys_of_an_account_are_listed_and_removed(tmp_path: Path) -> None:
    run, folder = CliRunner().invoke, ["--data-dir", str(tmp_path)]
    run(cli, ["user", "add", "ana", "--password", "correct horse battery", *folder], catch_exceptions=False)
    db = open_state(tmp_path)
    with db.engine.begin() as tx:
        for name in ("laptop", "phone", "key"):
            made = {"name": name, "credential_hash": name, "rp_id": "tocsin.example"}
            add_passkey(tx, "ana", made, actor=Actor("cli", "root"), now_ms=1)
    db.close()
    listed = run(cli, ["user", "passkeys", "ana", *folder], catch_exceptions=False).output
    assert listed.splitlines()[0].split(maxsplit=3) == ["1", "never", "used", "laptop (for tocsin.example)"]
    listed = run(cli, ["user", "passkeys", "ana", "--remove", "2", *folder], catch_exceptions=False).output
    assert [line.split()[0] for line in listed.splitlines()] == ["1", "3"]
    listed = run(cli, ["user", "passkeys", "ana", "--remove", "all", *folder], catch_exceptions=False).output
    assert listed == "ana has no passkeys\n"
    assert mistake("user", "passkeys", "ben", *folder) == "no account named 'ben'; `tocsin user list` shows them"
    assert "expected the id of a passkey" in mistake("user", "passkeys", "ana", "--remove", "x", *folder)
    assert mistake("user", "passkeys", "ana", "--remove", "7", *folder) == "no such passkey"
