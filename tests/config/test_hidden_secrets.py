"""Settings are shown without what would let somebody send in our name."""

from __future__ import annotations

import orjson

from tocsin.config.secrets import hide_secrets

CANARY = "hunter2"


def test_no_way_of_writing_a_contact_shows_its_key() -> None:
    url = f"tgram://123:{CANARY}/9"
    contacts = [
        {"apprise": url},
        {"apprise": [url]},
        {"channel": "apprise", "address": url, "settings": {"urls": [url], "user_key": CANARY}},
        {"slack": f"https://hooks.slack.example/services/{CANARY}"},
        {"discord": f"https://discord.example/api/webhooks/1/{CANARY}"},
        {"pushover": CANARY},
        {"pagerduty": CANARY},
    ]
    channels = {
        "slack": {"bot_token": CANARY, "app_token": CANARY, "signing_secret": CANARY},
        "apprise": {"urls": url},
        "voice": {"auth_token": CANARY, "answer_url": "https://t.example/in/twilio/voice"},
    }
    shown = orjson.dumps(hide_secrets({"users": [{"name": "ana", "contact": contacts}], "channels": channels})).decode()
    assert CANARY not in shown and "https://t.example/in/twilio/voice" in shown
