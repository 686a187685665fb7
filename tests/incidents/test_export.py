"""An incident as Markdown: everything of the story is in it, and nothing of it can pass for markup."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from tests.fakes.house import WEB, House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.cli.incidents import incidents
from tocsin.incidents.export import markdown


def test_the_story_of_an_incident_can_be_read_in_its_export(tmp_path: Path) -> None:
    async def story() -> str:
        people = directory(person("ana"), person("ben"), policy=policy(["ana"], ["ben"]))
        async with House(people, tmp_path / "state.db").running() as h:
            await h.page(page(alert(instance="<img src=x>|*db*")))
            await h.wait(60)
            await h.escalator.command("acknowledge", {"number": 1}, WEB)
            todo = [{"text": "raise the limit", "owner": "ben", "done": True}, {"text": "watch it", "due": "2026-12-01"}, "sleep"]
            done = {"summary": "restarted the pool", "held": True, "follow_ups": todo, "links": ["https://wiki.example/a_b"]}
            await h.escalator.command("remediation", {"number": 1, **done}, WEB)
            await h.escalator.command("resolve", {"number": 1, "text": "fine again"}, WEB)
            await h.wait(1)
            return markdown(h.detail(), external_url="https://tocsin.example")

    text = run_virtual(story())
    head, *rest = text.split("\n\n")
    assert head == r"# Incident #1: Down on \<img src=x\>\|\*db\*"
    assert "by ana, after 1m" in rest[0] and "https://tocsin.example/incidents/1" in rest[0]
    for said in (
        "- Summary: restarted the pool",
        "- It held: yes",
        "- [x] raise the limit (ben)",
        "- [ ] watch it (due 2026-12-01)",
        "- [ ] sleep",
        r"https://wiki.example/a\_b",
        "## Timeline",
        "| told | ana |",
    ):
        assert said in text, said
    assert "<img" not in text.replace(r"\<img", "")


def test_the_command_line_exports_and_still_lists(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana"), policy=policy(["ana"])), tmp_path / "state.db").running() as h:
            await h.page(page(alert()))
            await h.wait(1)

    run_virtual(story())
    run = CliRunner().invoke
    assert run(incidents, ["export", "1", "--data-dir", str(tmp_path)]).output.startswith("# Incident #1: Down on web\n")
    assert run(incidents, ["--data-dir", str(tmp_path), "export", "1"]).output.startswith("# Incident #1")
    assert "#1 " in run(incidents, ["--data-dir", str(tmp_path)]).output
    assert run(incidents, ["export", "7", "--data-dir", str(tmp_path)]).exit_code == 1
