"""Pictures of the dashboard for looking at: `python ui/dev/shoot.py http://127.0.0.1:8930 /tmp/shots [page ...]`. A development tool."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PAGES = {
    "overview": "/", "alerts": "/alerts", "alert": "/alerts/9f3a5c0011aa22bb", "incidents": "/incidents", "incident": "/i/1042",
    "checks": "/checks", "check": "/checks/checkout-api", "explore": "/explore?q=node_load1", "oncall": "/oncall",
    "services": "/services", "service": "/services/checkout?compare=1w", "rules": "/rules", "kiosk": "/?view=kiosk",
    "notifications": "/notifications", "silences": "/silences", "targets": "/targets", "self": "/self", "settings": "/settings",
    "account": "/settings/account", "users": "/settings/users", "tokens": "/settings/tokens", "audit": "/settings/audit",
    "certificate": "/i/1041", "run": "/checks/checkout-api/runs/897",
}  # fmt: skip
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main(base: str, out: Path, wanted: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", headless=True, args=FLAGS)
        for width, theme in ((1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")):
            context = browser.new_context(
                viewport={"width": width, "height": 900 if width > 800 else 740},
                color_scheme=theme,
                has_touch=width < 800,
                is_mobile=width < 800,
            )
            page = context.new_page()
            page.on("console", lambda message: message.type in ("error", "warning") and print("CONSOLE", message.text))
            page.on("pageerror", lambda error: print("ERROR", error))
            for name, path in PAGES.items():
                if wanted and name not in wanted:
                    continue
                page.goto(base + path)
                page.wait_for_timeout(900)
                wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                if wide > 0:
                    print(f"{name} {width}: {wide} px too wide")
                page.screenshot(path=out / f"{name}-{width}-{theme}.png", full_page=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
