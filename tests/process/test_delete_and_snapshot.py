"""Deleting series over HTTP on the real program: readers know at once, a kill changes nothing, a snapshot can be restored."""

from __future__ import annotations

import urllib.request
from urllib.parse import quote

import pytest

from tocsin.tsdb import tools

pytestmark = pytest.mark.process


def test_deleted_series_stay_deleted_and_a_snapshot_holds_the_rest(tocsin, tmp_path):
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text("web: {admin_api: true}\nshipped_rules: false\n")
    tocsin.start()
    lines = "".join(f'push{{n="{n}"}} {n}\n' for n in (1, 2, 3))
    request = urllib.request.Request(
        f"{tocsin.url}/metrics/job/demo", data=lines.encode(), method="PUT", headers={"authorization": f"Bearer {tocsin.token}"}
    )
    urllib.request.urlopen(request, timeout=10).close()

    def numbers():
        return sorted(row["metric"]["n"] for row in tocsin.get("/api/v1/query?query=push[5m]")["data"]["result"])

    tocsin.until(lambda: numbers() == ["1", "2", "3"], 10, "the pushed samples are there")
    selector = quote('up{job="none"}'), quote('push{n="2"}')
    tocsin.request("DELETE", "/metrics/job/demo", status=202)
    tocsin.request("POST", f"/api/v1/admin/tsdb/delete_series?match[]={selector[0]}&match[]={selector[1]}", status=204)
    tocsin.until(lambda: numbers() == ["1", "3"], 5, "the series is gone for readers")
    name = tocsin.request("POST", "/api/v1/admin/tsdb/snapshot")["data"]["name"]
    tocsin.kill_all()
    tocsin.start()
    assert numbers() == ["1", "3"]
    tocsin.request("POST", "/api/v1/admin/tsdb/clean_tombstones", status=204)
    assert numbers() == ["1", "3"]
    assert tools.verify(tocsin.data / "snapshots" / name) == []
    found = tocsin.cli("tsdb", "export", "push", "--since", "1h")
    assert 'n="2"' not in found
    assert 'n="3"' in found
