"""Pictures for the documentation, of the real program watching a shop that breaks: `python tests/e2e/make_screenshots.py`.

Thirteen pages, light and dark, on a desktop and on a phone, to docs/screenshots/. Takes some minutes: the charts need a past.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.e2e.conftest import CHROMIUM, FLAGS, Tocsin  # noqa: E402
from tests.e2e.shop import Shop  # noqa: E402

CONFIG = """
checks:
  - {{name: shop, http: "http://{shop}/health", labels: {{service: shop, team: web}}, alert: {{severity: critical}}}}
  - {{name: shop front page, http: "http://{shop}/", labels: {{service: shop, team: web}}}}
  - {{name: search, http: "http://{shop}/search", labels: {{service: search, team: web}}}}
  - {{name: shop port, tcp: "{shop}", labels: {{service: shop}}, alert: false}}
scrape_configs:
  - {{job_name: shop, scrape_interval: 2s, static_configs: [{{targets: ["{shop}"]}}]}}
global: {{smtp_smarthost: "127.0.0.1:9", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
users:
  - {{name: ana, full_name: Ana Silva, email: ana@shop.example, time_zone: Europe/Lisbon}}
  - {{name: ben, full_name: Ben Okoro, email: ben@shop.example}}
policies:
  - {{name: default, steps: [{{notify: ana, wait: 10m}}, {{notify: ben, wait: 10m}}]}}
"""
PAGES = {
    "overview": "/",
    "alerts": "/alerts",
    "incident": "/i/1",
    "service": "/services/shop?from=now-15m",
    "checks": "/checks",
    "check": "/checks/shop",
    "explore": "/explore?q=sum+by+(http_route)+(rate(http_server_request_duration_seconds_count[1m]))&from=now-15m",
    "rules": "/rules",
    "oncall": "/oncall",
    "notifications": "/notifications",
    "hosts": "/hosts",
    "dashboard": "/d/services?from=now-15m",
    "reports": "/reports?period=7d",
}
HEALTHY_S, BROKEN_S = 100, 75


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    shop = Shop()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        tocsin = Tocsin(Path(folder))
        tocsin.config.write_text(CONFIG.format(shop=shop.address))
        tocsin.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        try:
            first = browser.new_context()
            page = first.new_page()
            page.goto(tocsin.sign_in)
            page.wait_for_url(tocsin.url + "/**")
            state = first.storage_state()
            time.sleep(HEALTHY_S)
            shop.fail()
            session = page.request.get(tocsin.url + "/api/tocsin/v1/session").json()
            run = tocsin.url + "/api/tocsin/v1/checks/shop/run"
            page.request.post(run, headers={"x-csrf-token": session["csrf"], "origin": tocsin.url})
            time.sleep(BROKEN_S)
            for width, theme in ((1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")):
                phone = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2} if width < 800 else {}
                size = {"width": width, "height": 740 if phone else 900}
                context = browser.new_context(viewport=size, color_scheme=theme, storage_state=state, **phone)
                page = context.new_page()
                for name, path in PAGES.items():
                    page.goto(tocsin.url + path)
                    page.wait_for_timeout(1200)
                    page.screenshot(path=out / f"{name}-{width}-{theme}.png")
                context.close()
        finally:
            browser.close()
            tocsin.stop()
            shop.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots")
