"""MongoDB's wire protocol (OP_MSG) and sign-in (SCRAM), the client's side, over a connection that was judged. Needs `bson`.

    length:4 request:4 response-to:4 opcode:4(2013)   flags:4   kind:1(0) document

Own and not pymongo's client, which resolves names anew, connects to whatever the server lists, and keeps watching in the
background: a check connects to the judged address alone, once. Source: MongoDB's wire protocol; RFC 5802, RFC 7677.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import Mapping
from typing import Any

import bson
from bson.errors import BSONError

from tocsin.collect.io import Connection
from tocsin.collect.outcome import ProbeError
from tocsin.model.check import CheckReason

_OP_MSG = 2013
_MOST_BYTES = 4 << 20
_MOST_ROUNDS = 100_000
"""Iterations of SCRAM's key: a server that asks for billions must not get our processor."""
_MECHANISMS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}


class MongoError(Exception):
    """The server refused a command."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


class MongoClient:
    """One command at a time on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._request = 0

    async def run(self, command: Mapping[str, Any], database: str = "admin") -> dict[str, Any]:
        """The answer of a command. Raises MongoError where it says not ok, ProbeError for what is not MongoDB's protocol."""
        document = bson.encode({**command, "$db": database})
        self._request += 1
        head = struct.pack("<iiiii", 21 + len(document), self._request, 0, _OP_MSG, 0)
        await self._connection.send(head + b"\x00" + document)
        answer = await self._answer()
        if not answer.get("ok"):
            raise MongoError(int(answer.get("code") or 0), str(answer.get("errmsg", "refused"))[:500])
        return answer

    async def _answer(self) -> dict[str, Any]:
        reader = self._connection.reader
        length, _, answered, opcode = struct.unpack("<iiii", await reader.readexactly(16))
        if opcode != _OP_MSG or answered != self._request or not 26 <= length <= _MOST_BYTES:
            raise ProbeError(CheckReason.PROTOCOL, "the answer is not MongoDB's protocol (OP_MSG), or larger than 4 MiB")
        body = await reader.readexactly(length - 16)
        flags, kind = struct.unpack_from("<IB", body)
        document = body[5 : len(body) - 4 if flags & 1 else len(body)]
        if kind != 0:
            raise ProbeError(CheckReason.PROTOCOL, "the answer has no body document")
        try:
            answer: dict[str, Any] = bson.decode(document)
        except (BSONError, ValueError, RecursionError) as error:
            raise ProbeError(CheckReason.PROTOCOL, f"the answer is not BSON: {error}") from None
        return answer

    # -- signing in ----------------------------------------------------------------------------------------------------

    async def sign_in(self, user: str, password: str, source: str, offered: list[str]) -> None:
        """SCRAM with the best mechanism of `offered` (what `hello` says this user has). Raises MongoError, ProbeError."""
        mechanism = next((name for name in _MECHANISMS if name in offered), "SCRAM-SHA-256")
        digest = _MECHANISMS[mechanism]
        nonce = base64.b64encode(os.urandom(24)).decode()
        name = user.replace("=", "=3D").replace(",", "=2C")
        own = f"n={name},r={nonce}"
        start = {"saslStart": 1, "mechanism": mechanism, "payload": f"n,,{own}".encode(), "options": {"skipEmptyExchange": True}}
        first = await self.run(start, source)
        said = bytes(first["payload"]).decode()
        final, expected = _proof(digest, _secret(user, password, digest), own, said, nonce)
        go_on = {"saslContinue": 1, "conversationId": first["conversationId"]}
        answer = await self.run({**go_on, "payload": final}, source)
        if not hmac.compare_digest(_parts(bytes(answer["payload"]).decode()).get("v", "").encode(), expected):
            raise ProbeError(CheckReason.AUTHENTICATION, "the server does not know the password itself: it is not who it says")
        if not answer.get("done"):
            await self.run({**go_on, "payload": b""}, source)


def _secret(user: str, password: str, digest: str) -> bytes:
    """SCRAM-SHA-1 stands on MongoDB's old digest of the password."""
    if digest == "sha1":
        return hashlib.md5(f"{user}:mongo:{password}".encode(), usedforsecurity=False).hexdigest().encode()
    return password.encode()


def _proof(digest: str, secret: bytes, own: str, said: str, nonce: str) -> tuple[bytes, bytes]:
    """The client's last message and the signature that the server must then show."""
    parts = _parts(said)
    try:
        salt, rounds, both = base64.b64decode(parts["s"]), int(parts["i"]), parts["r"]
    except (KeyError, ValueError):
        raise ProbeError(CheckReason.PROTOCOL, "the server's sign-in message cannot be read") from None
    if not both.startswith(nonce) or not 1 <= rounds <= _MOST_ROUNDS:
        raise ProbeError(CheckReason.PROTOCOL, "the server's sign-in message is not an answer to ours")
    salted = hashlib.pbkdf2_hmac(digest, secret, salt, rounds)
    key = hmac.digest(salted, b"Client Key", digest)
    without_proof = f"c=biws,r={both}"
    signed = f"{own},{said},{without_proof}".encode()
    signature = hmac.digest(hashlib.new(digest, key).digest(), signed, digest)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    server = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
    return f"{without_proof},p={proof}".encode(), base64.b64encode(server)


def _parts(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)
