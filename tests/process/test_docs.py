"""Every command and every configuration block of the documentation is run against the real program, in the order of the page.

A fence's info string says what to do: `yaml NAME` writes NAME into Tocsin's folder (which must pass `config check`),
`sh` runs and must succeed, `sh retry` repeats until the output below appears, `sh start|stop-service|start-service` are stage
directions, `sh not-run` is shown only (a test elsewhere covers it). `text output` must occur in what the command before printed.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [
    "tutorial/first-page.md",
    "how-to/beside-prometheus.md",
    "how-to/oncall.md",
    "how-to/backtest.md",
    "operations/monitoring.md",
]


SECRETS = {"SLACK_APP_TOKEN": "xapp-1-A0-x", "SLACK_BOT_TOKEN": "xoxb-1-x"}
PEOPLE = "users: [{name: ana, email: ana@shop.example}]\npolicies: [{name: primary, steps: [{notify: ana}]}]\n"


@dataclass
class Block:
    language: str
    words: list[str]
    text: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, info.split(), text) for language, info, text in found]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_does_what_it_says(page: str, tocsin: Any, service: Any, mail: Any) -> None:
    story = blocks(DOCS / page)
    assert story
    tocsin.folder.mkdir(parents=True, exist_ok=True)
    if not any("start" in block.words for block in story):
        tocsin.start()
    replacements = {"127.0.0.1:8000": f"127.0.0.1:{service.port}", "127.0.0.1:2525": f"127.0.0.1:{mail.port}"}
    for i, block in enumerate(story):
        after = story[i + 1] if i + 1 < len(story) else None
        expected = after.text.strip() if after and after.language == "text" and "output" in after.words else ""
        if block.language == "yaml":
            text = block.text
            for old, new in replacements.items():
                text = text.replace(old, new)
            (tocsin.folder / block.words[0]).write_text(text)
            tocsin.cli("config", "check", "--config", block.words[0])
        elif block.language == "sh" and "not-run" not in block.words:
            run(tocsin, service, block, expected)
    assert tocsin.stop() == 0


def run(tocsin: Any, service: Any, block: Block, expected: str) -> None:
    if "start" in block.words:
        tocsin.start()
        return
    if "stop-service" in block.words:
        service.stop()
    if "start-service" in block.words:
        service.start()
    for line in block.text.strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "tocsin", f"only our own commands are run: {line}"
        deadline = time.monotonic() + (60 if "retry" in block.words else 0)
        while True:
            said = tocsin.cli(*words[1:], status=None if "retry" in block.words or "stop-service" in block.words else 0)
            if expected in said or time.monotonic() > deadline:
                break
            time.sleep(0.3)
        assert expected in said, f"{line}\nexpected {expected!r} in:\n{said}\n{tocsin.log()}"


def test_every_yaml_block_of_the_reference_is_read(tocsin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations pass `tocsin config check`, rule files `tocsin rules check`."""
    tocsin.folder.mkdir(parents=True, exist_ok=True)
    readme = re.search(r"```yaml\n(.*?)```", (DOCS.parent / "README.md").read_text(), re.DOTALL)
    assert readme is not None
    texts = [("README.md", readme[1])]
    for page in sorted(DOCS.rglob("*.md")):
        if str(page.relative_to(DOCS)) not in PAGES:
            # A dashboard of its own file is read by tests/web.
            found = [block for block in blocks(page) if block.language == "yaml" and "dashboard" not in block.words]
            texts += [(page.name, block.text) for block in found]
    for name, text in texts:
        is_rules = text.startswith("groups:")
        (tocsin.folder / ("rules.yml" if is_rules else "tocsin.yaml")).write_text(text)
        # What a fragment refers to and a reader has: secrets, a policy.
        for variable in re.findall(r"\{env: (\w+)\}", text):
            monkeypatch.setenv(variable, SECRETS.get(variable, "not-so-secret"))
        (tocsin.folder / "slack-url").write_text("https://hooks.slack.example/services/T0/B0/x\n")
        (tocsin.folder / "people.yaml").write_text(PEOPLE if "policy: primary" in text else "")
        files = ("--config", "tocsin.yaml", "--config", "people.yaml")
        said = tocsin.cli(*(("rules", "check", "rules.yml") if is_rules else ("config", "check", *files)), status=None)
        assert ("rules found" if is_rules else "ok:") in said, f"{name}: {said}\n{text}"


def test_every_console_block_of_the_reference_is_answered(tocsin: Any) -> None:
    """The commands of a page run in one shell, against a running Tocsin; what does not exist there may be said to be missing."""
    tocsin.start()
    own = f'tocsin() {{ "{sys.executable}" -m tocsin "$@"; }}'
    for page in sorted(DOCS.rglob("*.md")):
        lines = "\n".join(block.text for block in blocks(page) if block.language == "console")
        commands = "\n".join(line.removeprefix("$ ") for line in lines.splitlines() if line.startswith(("$ ", "    ")))
        if not commands:
            continue
        script = f"set -eu\n{own}\n{commands.replace('127.0.0.1:8911', f'127.0.0.1:{tocsin.port}')}"
        done = subprocess.run(
            ["bash", "-c", script], env=tocsin.environment(), cwd=tocsin.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page.name}: {done.stderr}"
        assert '"status":5' not in done.stdout, f"{page.name}: {done.stdout}"
        assert "401" not in done.stdout


def test_no_block_of_the_documentation_is_left_out() -> None:
    known = {"yaml", "text", "console", "mermaid", "sh", "json"}
    for page in sorted(DOCS.rglob("*.md")):
        for block in blocks(page):
            assert block.language in known, f"{page}: a block of {block.language!r} is not run by any test"
            if block.language == "json":
                json.loads(block.text)  # that its fields are the real ones is a test of the room that makes them
            if block.language == "sh":
                assert str(page.relative_to(DOCS)) in PAGES, f"{page}: add it to PAGES"
