"""Every command and every configuration block of the documentation is run against the real program, in the order of the page.

A fence's info string says what to do: `yaml NAME` writes NAME into Tocsin's folder (which must pass `config check`),
`sh` runs and must succeed, `sh retry` repeats until the output below appears, `sh start|stop-service|start-service` are stage
directions, `sh not-run` is shown only (a test elsewhere covers it). `text output` must occur in what the command before printed.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ["tutorial/first-page.md", "how-to/beside-prometheus.md", "operations/monitoring.md"]


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


def test_every_yaml_block_of_the_documentation_is_read(tocsin: Any) -> None:
    """Blocks of the reference and README that are named tocsin.yaml pass `config check` on their own."""
    tocsin.folder.mkdir(parents=True, exist_ok=True)
    readme = re.search(r"```yaml\n(.*?)```", (DOCS.parent / "README.md").read_text(), re.DOTALL)
    assert readme is not None
    texts = [("README.md", readme[1])]
    for page in sorted(DOCS.rglob("*.md")):
        if str(page.relative_to(DOCS)) not in PAGES:
            texts += [
                (page.name, block.text) for block in blocks(page) if block.language == "yaml" and block.words == ["tocsin.yaml"]
            ]
    for name, text in texts:
        (tocsin.folder / "tocsin.yaml").write_text(text)
        assert "ok:" in tocsin.cli("config", "check"), name
