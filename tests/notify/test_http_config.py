"""`http_config`: what is added to requests, which way they travel, and what happens when a file or token is missing."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tocsin.config.httpclient import read_http_client
from tocsin.model.httpclient import Authorization, BasicAuth, Header, HttpClient, OAuth2, Proxy, Tls, proxy_for
from tocsin.model.ports import HttpError, HttpResponse, Way
from tocsin.notify.client import ConfiguredHttp
from tocsin.notify.http import RealHttp


class Recorder:
    """An Http that remembers, and gives tokens at /token."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes, Way]] = []
        self.refuse: set[str] = set()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
        way: Way | None = None,
    ) -> HttpResponse:
        assert way is not None
        self.asked.append((method, url, dict(headers or {}), body, way))
        if url.endswith("/token"):
            number = sum(1 for one in self.asked if one[1].endswith("/token"))
            return HttpResponse(200, {}, orjson.dumps({"access_token": f"t{number}", "expires_in": 60}))
        said = (headers or {}).get("Authorization", "")
        return HttpResponse(401 if said in self.refuse else 200, {}, b"")


async def ask(settings: HttpClient, *, headers: Mapping[str, str] | None = None, url: str = "http://a.example/") -> Recorder:
    base = Recorder()
    await ConfiguredHttp(base, settings, now_ms=lambda: 0).request("POST", url, headers=headers)
    return base


async def test_credentials_and_headers_are_added_and_a_requests_own_go_first(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("secret\n")
    (tmp_path / "h").write_text("two\n")
    settings = HttpClient(
        basic_auth=BasicAuth(username="u", password_file=str(tmp_path / "p")),
        headers={"X-Team": Header(("one",), (str(tmp_path / "h"),)), "X-Own": Header(("config",))},
    )
    (_, _, headers, _, _), *_ = (await ask(settings, headers={"x-own": "request"})).asked
    assert headers == {"Authorization": "Basic dTpzZWNyZXQ=", "X-Team": "one, two", "x-own": "request"}
    (_, _, headers, _, _), *_ = (await ask(settings, headers={"Authorization": "GenieKey k"})).asked
    assert headers["Authorization"] == "GenieKey k"


async def test_a_credentials_file_that_is_rotated_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    base = Recorder()
    client = ConfiguredHttp(base, HttpClient(authorization=Authorization(credentials_file=str(file))), now_ms=lambda: 0)
    await client.request("GET", "http://a/")
    file.write_text("two\n")
    await client.request("GET", "http://a/")
    assert [headers["Authorization"] for _, _, headers, _, _ in base.asked] == ["Bearer one", "Bearer two"]
    file.unlink()
    with pytest.raises(HttpError, match="cannot read") as caught:
        await client.request("GET", "http://a/")
    assert not caught.value.sent


async def test_an_oauth_token_is_asked_for_once_until_it_is_over_or_refused() -> None:
    base, now = Recorder(), [0]
    grant = OAuth2("id", "http://sso/token", "sec", scopes=("a", "b"), endpoint_params={"audience": "x"})
    client = ConfiguredHttp(base, HttpClient(oauth2=grant), now_ms=lambda: now[0])
    for at_ms in (0, 1_000, 49_999, 50_001):
        now[0] = at_ms
        assert (await client.request("GET", "http://a/")).status == 200
    said = [(url, headers["Authorization"]) for _, url, headers, _, _ in base.asked]
    assert [one[1] for one in said if one[0] == "http://a/"] == ["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2"]
    assert base.asked[0][2]["Authorization"] == "Basic aWQ6c2Vj"
    assert base.asked[0][3] == b"grant_type=client_credentials&audience=x&scope=a+b"
    base.refuse.add("Bearer t2")
    assert (await client.request("GET", "http://a/")).status == 200, "a refused token is asked for anew"


@pytest.mark.parametrize(
    ("url", "no_proxy", "through"),
    [
        ("http://a.example/", "", True),
        ("http://a.example/", "b.example, a.example", False),
        ("http://x.a.example/", "a.example", False),
        ("http://xa.example/", "a.example", True),
        ("http://a.example/", ".a.example", True),
        ("http://x.a.example/", "*.a.example", False),
        ("http://10.1.2.3/", "10.0.0.0/8", False),
        ("http://11.1.2.3/", "10.0.0.0/8", True),
        ("http://a.example:81/", "a.example:80", True),
        ("https://a.example/", "a.example:443", False),
        ("http://[2001:db8::1]/", "2001:db8::1", False),
        ("http://[2001:db8::1]:81/", "[2001:db8::1]:81", False),
        ("http://a.example/", "*", False),
    ],
)
def test_which_requests_go_through_the_proxy(url: str, no_proxy: str, through: bool) -> None:
    assert bool(proxy_for(url, Proxy(url="http://p:3128", no_proxy=no_proxy))) is through


def test_the_environments_proxies_are_read_with_the_configuration() -> None:
    environment = {"HTTP_PROXY": "http://p:1", "https_proxy": "http://p:2", "NO_PROXY": "a.example"}
    client, wrong = read_http_client({"proxy_from_environment": True}, Path(), environment)
    assert client is not None and not wrong
    urls = ("http://x/", "https://x/", "https://a.example/", "http://localhost/")
    assert [proxy_for(url, client.proxy) for url in urls] == ["http://p:1", "http://p:2", "", ""]


async def test_a_request_names_the_proxy_and_its_headers() -> None:
    settings = HttpClient(proxy=Proxy(url="http://p:1", connect_header={"X-P": ("a", "b")}), follow_redirects=False)
    (*_, way), *_ = (await ask(settings)).asked
    assert (way.proxy, way.proxy_headers, way.follow_redirects) == ("http://p:1", {"X-P": "a, b"}, False)


# -- over real sockets --


class Server:
    """Answers with what it was asked; over TLS with a client's certificate when `context` is given."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.paths: list[str] = []
        paths = self.paths

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                paths.append(self.path)
                self.send_response(302 if self.path.endswith("/moved") else 200)
                self.send_header("Location", "/there")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port

    def __enter__(self) -> Server:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that signs itself, for the name `shop.example`; server and client use it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


async def test_tls_with_an_authority_a_name_and_a_clients_certificate(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    whole = {"ca_file": str(cert), "cert_file": str(cert), "key_file": str(key), "server_name": "shop.example"}
    inline = {"ca": cert.read_text(), "cert": cert.read_text(), "key": key.read_text(), "server_name": "shop.example"}
    bold = {"cert_file": str(cert), "key_file": str(key), "insecure_skip_verify": True, "min_version": "TLS12"}
    with Server(context) as server:
        url = f"https://127.0.0.1:{server.port}/"

        async def get(tls: Mapping[str, Any]) -> int:
            async with RealHttp() as http:
                client = ConfiguredHttp(http, HttpClient(tls=Tls(**tls)), now_ms=lambda: 0)
                return (await client.request("GET", url)).status

        for good in (whole, inline, bold):
            assert await get(good) == 200, good
        for bad in ({}, {**whole, "server_name": "other.example"}, {**whole, "cert_file": "", "key_file": ""}):
            with pytest.raises(HttpError):
                await get(bad)
        with pytest.raises(HttpError, match="tls_config"):
            await get({**whole, "ca_file": "/nowhere"})


async def test_a_proxy_carries_the_request_and_redirects_stay_if_told_so() -> None:
    with Server() as proxy, Server() as target:
        async with RealHttp() as http:
            through = ConfiguredHttp(http, HttpClient(proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}")), now_ms=lambda: 0)
            await through.request("GET", "http://shop.example/x")
            assert proxy.paths == ["http://shop.example/x"]
            for follow, status in ((True, 200), (False, 302)):
                client = ConfiguredHttp(http, HttpClient(follow_redirects=follow), now_ms=lambda: 0)
                assert (await client.request("GET", f"http://127.0.0.1:{target.port}/moved")).status == status
