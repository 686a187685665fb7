"""A fake identity provider on loopback: discovery, keys that rotate, codes that work once and only with their PKCE verifier."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT, SECRET = "tocsin", "the client's secret"


class FakeIssuer:
    """`claims` go into every ID token beside the usual ones; `asked` holds what was asked of /token."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s
        self.claims: dict[str, Any] = {"sub": "42", "email": "ana@shop.example", "email_verified": True, "groups": ["ops"]}
        self.asked: list[dict[str, str]] = []
        self.keys: list[RSAKey | ECKey] = [RSAKey.generate_key(2048, {"kid": "one"})]
        self.algorithm = "RS256"
        self.forged: str = ""
        """Sent in place of the ID token."""
        self.key_reads = 0
        self._codes: dict[str, dict[str, str]] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                where = urlsplit(self.path)
                query = dict(parse_qsl(where.query))
                if where.path == "/.well-known/openid-configuration":
                    return self._json(issuer.description())
                if where.path == "/keys":
                    issuer.key_reads += 1
                    return self._json({"keys": [key.as_dict(private=False) for key in issuer.keys]})
                if where.path == "/authorize":
                    self.send_response(302)
                    self.send_header("location", issuer.approve(query))
                    return self.end_headers()
                return self._json({"error": "not_found"}, 404)

            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
                self._json(*issuer.exchange(form, self.headers.get("authorization", "")))

            def _json(self, value: Any, status: int = 200) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def description(self) -> dict[str, Any]:
        ends = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return {"issuer": self.url, **{name: self.url + path for name, path in ends.items()}}

    def rotate(self) -> None:
        """New keys only; what was signed with the old ones is worth nothing."""
        self.keys, self.algorithm = [ECKey.generate_key("P-256", {"kid": f"key-{self.key_reads}"})], "ES256"

    def approve(self, query: dict[str, str]) -> str:
        """What the person's yes leads to: the address to go back to."""
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.url})}"

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[dict[str, Any], int]:
        self.asked.append(form)
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if (name, secret.replace("%20", " ").replace("%27", "'")) != (CLIENT, SECRET):
            return {"error": "invalid_client"}, 401
        query = self._codes.pop(form["code"], None)
        if query is None:
            return {"error": "invalid_grant", "error_description": "the code was used"}, 400
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if challenge != query["code_challenge"] or form["redirect_uri"] != query["redirect_uri"]:
            return {"error": "invalid_grant", "error_description": "not the verifier of this code"}, 400
        return {"id_token": self.forged or self.token(query["nonce"]), "token_type": "Bearer", "access_token": "x"}, 200

    def token(self, nonce: str) -> str:
        key = self.keys[0]
        usual = {"iss": self.url, "aud": CLIENT, "iat": self.now_s, "exp": self.now_s + 300, "nonce": nonce}
        header = {"alg": self.algorithm, "kid": key.kid or ""}
        return jwt.encode(header, {**usual, **self.claims}, key, algorithms=[self.algorithm])
