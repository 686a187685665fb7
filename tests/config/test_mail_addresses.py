"""`email_configs.to` may name several addresses, as Alertmanager takes them: each is a destination with an outcome of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.config.load import build
from tocsin.config.sources import read_sources

CONFIG = """
external_url: https://tocsin.example
global: {{smtp_smarthost: "127.0.0.1:25", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
route: {{receiver: ops}}
receivers:
  - name: ops
    email_configs: [{{to: '{to}', send_resolved: true}}]
    webhook_configs: [{{url: "https://hook.example/x"}}]
"""


@pytest.mark.parametrize(
    ("to", "wanted"),
    [
        ("ana@shop.example", ["ana@shop.example"]),
        ("ana@shop.example, ben@shop.example,ops@shop.example", ["ana@shop.example", "ben@shop.example", "ops@shop.example"]),
        ("Ana <ana@shop.example>, ben@shop.example,", ["Ana <ana@shop.example>", "ben@shop.example"]),
        ('"Doe, Jane" <jane@shop.example>, ben@shop.example', ['"Doe, Jane" <jane@shop.example>', "ben@shop.example"]),
    ],
)
def test_each_address_is_a_destination(to: str, wanted: list[str], tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(CONFIG.format(to=to))
    destinations = build(read_sources([path])).routing.receivers["ops"].destinations
    mails = [d for d in destinations if d.channel == "email"]
    assert [d.settings["to"] for d in mails] == wanted and all(d.send_resolved for d in mails)
    assert [d.index for d in destinations] == list(range(len(wanted) + 1)), "a destination's number names its deliveries"
