"""What people, programs and machines do wrong: a clear message with the place, everything else goes on."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytestmark = pytest.mark.process


def run_serve(tocsin: Any, *arguments: str, data: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tocsin", "serve", "--data-dir", data or str(tocsin.data), *arguments]
    tocsin.folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        command, cwd=tocsin.folder, env=tocsin.environment(), capture_output=True, text=True, check=False, timeout=60
    )


def test_a_taken_port_is_named_with_a_way_out(tocsin: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_serve(tocsin, "--listen", address)
    assert done.returncode == 2
    assert f"the address {address} is taken by another program; choose another with --listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_file_at_the_first_start_stops_with_every_place(tocsin: Any) -> None:
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text("checks:\n  - {name: a, http: nonsense}\n  - {name: b}\nuser: []\n")
    done = run_serve(tocsin, "--listen", f"127.0.0.1:{tocsin.port}")
    assert done.returncode == 1
    assert "tocsin.yaml:4:1: user: unknown section 'user'; did you mean 'users'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_tocsin_on_the_same_data_is_refused(tocsin: Any) -> None:
    tocsin.start()
    done = run_serve(tocsin, "--listen", "127.0.0.1:0")
    assert done.returncode == 2
    assert "is in use by another Tocsin (process" in done.stderr
    assert tocsin.get("/-/ready")


def test_a_data_directory_of_a_newer_version_is_refused_and_untouched(tocsin: Any) -> None:
    tocsin.start()
    assert tocsin.stop() == 0
    with sqlite3.connect(tocsin.data / "state.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = (tocsin.data / "state.db").read_bytes()
    done = run_serve(tocsin, "--listen", f"127.0.0.1:{tocsin.port}")
    assert done.returncode != 0
    assert "newer Tocsin (schema 9999" in done.stderr
    assert (tocsin.data / "state.db").read_bytes() == before


def test_a_target_that_serves_garbage_is_down_with_its_reason_and_others_go_on(tocsin: Any, service: Any) -> None:
    class Garbage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"\x00\xff<html>not metrics" * 100
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Garbage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tocsin.folder.mkdir(parents=True)
    targets = f'["127.0.0.1:{server.server_address[1]}", "127.0.0.1:{service.port}"]'
    text = f"scrape_configs: [{{job_name: shop, scrape_interval: 1s, static_configs: [{{targets: {targets}}}]}}]\n"
    (tocsin.folder / "tocsin.yaml").write_text(text)
    tocsin.start()
    try:
        tocsin.until(lambda: tocsin.query("shop_orders_total"), 15, "the good target's series")
        tocsin.until(lambda: {value for _, value in tocsin.query('up{job="shop"}')} == {0.0, 1.0}, 15, "one up, one down")
        active = tocsin.get("/api/v1/targets")["data"]["activeTargets"]
        assert sorted(target["health"] for target in active) == ["down", "up"]
        assert next(target["lastError"] for target in active if target["health"] == "down")
    finally:
        server.shutdown()
        server.server_close()


def test_a_body_without_end_is_cut_off(tocsin: Any) -> None:
    """A sender that announces a gigabyte, or never stops sending chunks, gets 413 early; the server stays small and answers."""
    tocsin.start()
    web = tocsin.children()["web"]
    before = web.memory_info().rss
    assert asyncio.run(push(tocsin.port, b"Content-Length: 1073741824\r\n", chunked=False)) == 413
    assert asyncio.run(push(tocsin.port, b"Transfer-Encoding: chunked\r\n", chunked=True)) == 413
    assert web.memory_info().rss - before < 120 * 1024 * 1024
    assert tocsin.get("/-/ready")


async def push(port: int, header: bytes, *, chunked: bool) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"POST /api/v1/write HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/x-protobuf\r\n" % port
    writer.write(head + header + b"\r\n")
    piece = b"x" * 65536
    try:
        for _ in range(1600):  # 100 MB at most
            writer.write(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
            await asyncio.wait_for(writer.drain(), 10)
            if reader._buffer:  # the answer is there: a polite sender stops
                break
    except (ConnectionError, TimeoutError):
        pass
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return int(line.split()[1])


def test_an_unreachable_mail_server_is_shown_tried_again_and_other_ways_go_on(tocsin: Any, service: Any, chat: Any) -> None:
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(
        f"checks: [{{name: shop, http: '{service.url}/health', every: 60s}}]\n"
        "global: {smtp_smarthost: '127.0.0.1:9', smtp_from: t@shop.example, smtp_require_tls: false}\n"
        f"users: [{{name: ana, email: ana@shop.example, contact: [{{slack: '{chat.url}'}}]}}]\n"
    )
    tocsin.start()
    tocsin.until(lambda: tocsin.get("/api/tocsin/v1/checks")["checks"][0]["state"] == "up", 15, "the shop is up")
    service.stop()
    tocsin.cli("check", "now", "shop", status=1)
    tocsin.until(lambda: chat.messages, 30, "the chat message arrives all the same")
    rows = tocsin.until(lambda: failing_mail(tocsin), 15, "the mail's attempts are shown")
    assert "127.0.0.1" in rows[0]["attempt_log"][0]["reason"]
    assert tocsin.stop() == 0


def failing_mail(tocsin: Any) -> Any:
    rows = tocsin.get("/api/tocsin/v1/notifications?channel=email")["notifications"]
    return [row for row in rows if row["attempt_log"] and row["attempt_log"][0]["reason"]]


def test_bad_promql_says_where(tocsin: Any) -> None:
    tocsin.start()
    answer = tocsin.get("/api/v1/query?query=sum(up", status=400)
    assert answer["errorType"] == "bad_data"
    assert "1:7: parse error: unclosed left parenthesis" in answer["error"]
