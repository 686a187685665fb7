"""A small MongoDB server (OP_MSG, SCRAM), for Debian has none. pymongo's client signs in to it: it is not our idea alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from typing import Any

import bson

_SALT, _ROUNDS = b"0123456789abcdef", 4096


@dataclass
class FakeMongo:
    """What it answers, by command; a number is an error code, a callable is awaited. User `watch` has password `right`."""

    answers: dict[str, Any] = field(default_factory=dict)
    hello: dict[str, Any] = field(default_factory=dict)
    mechanism: str = "SCRAM-SHA-256"
    secured: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        session: dict[str, Any] = {}
        while True:
            length, request, _, opcode = struct.unpack("<iiii", await reader.readexactly(16))
            body = await reader.readexactly(length - 16)
            if opcode != 2013:  # pymongo's first hello may be an old OP_QUERY
                await self._reply_old(writer, request, body)
                continue
            command = bson.decode(body[5:])
            self.asked.append(command)
            answer = await self._answer(command, session)
            if not struct.unpack_from("<I", body)[0] & 2:  # moreToCome: no answer is wanted
                document = bson.encode(answer)
                writer.write(struct.pack("<iiiiI", 21 + len(document), 1, request, 2013, 0) + b"\x00" + document)
                await writer.drain()

    async def _reply_old(self, writer: asyncio.StreamWriter, request: int, body: bytes) -> None:
        document = bson.encode(self._hello(bson.decode(body[body.index(b"\x00", 4) + 1 + 8 :])))
        head = struct.pack("<iiii", 36 + len(document), 1, request, 1)
        writer.write(head + struct.pack("<iqii", 8, 0, 0, 1) + document)
        await writer.drain()

    async def _answer(self, command: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name in ("hello", "ismaster", "isMaster"):
            return self._hello(command)
        if name == "saslStart":
            return self._sasl_start(command, session)
        if name == "saslContinue":
            return self._sasl_continue(command, session)
        if self.secured and not session.get("signed in"):
            return {"ok": 0.0, "code": 13, "errmsg": f"command {name} requires authentication"}
        found = self.answers.get(name, {} if name in ("ping", "endSessions") else 59)
        if callable(found):
            found = await found()
        if isinstance(found, int):
            return {"ok": 0.0, "code": found, "errmsg": f"{name} refused"}
        return {**found, "ok": 1.0}

    def _hello(self, command: dict[str, Any]) -> dict[str, Any]:
        mechs = {"saslSupportedMechs": [self.mechanism]} if "saslSupportedMechs" in command else {}
        return {"isWritablePrimary": True, "ismaster": True, "helloOk": True, "maxWireVersion": 21, "minWireVersion": 0,
                "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48 << 20, "maxWriteBatchSize": 100_000,
                **mechs, **self.hello, "ok": 1.0}  # fmt: skip

    # -- SCRAM, the server's side --------------------------------------------------------------------------------------

    def _salted(self, user: str) -> tuple[str, bytes]:
        if self.mechanism == "SCRAM-SHA-1":
            secret = hashlib.md5(f"{user}:mongo:right".encode()).hexdigest().encode()
            return "sha1", hashlib.pbkdf2_hmac("sha1", secret, _SALT, _ROUNDS)
        return "sha256", hashlib.pbkdf2_hmac("sha256", b"right", _SALT, _ROUNDS)

    def _sasl_start(self, command: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
        bare = bytes(command["payload"]).decode().removeprefix("n,,")
        parts = dict(part.split("=", 1) for part in bare.split(","))
        said = f"r={parts['r']}server,s={base64.b64encode(_SALT).decode()},i={_ROUNDS}"
        session |= {"bare": bare, "said": said, "user": parts["n"], "mechanism": command["mechanism"]}
        return {"conversationId": 1, "done": False, "payload": said.encode(), "ok": 1.0}

    def _sasl_continue(self, command: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
        final = bytes(command["payload"]).decode()
        digest, salted = self._salted(session["user"])
        without, _, proof = final.partition(",p=")
        signed = f"{session['bare']},{session['said']},{without}".encode()
        key = hmac.digest(salted, b"Client Key", digest)
        signature = hmac.digest(hashlib.new(digest, key).digest(), signed, digest)
        good = bytes(a ^ b for a, b in zip(key, signature, strict=True)) == base64.b64decode(proof)
        if not good or session["user"] != "watch" or session["mechanism"] != self.mechanism:
            return {"ok": 0.0, "code": 18, "errmsg": "Authentication failed."}
        session["signed in"] = True
        shown = base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest))
        return {"conversationId": 1, "done": True, "payload": b"v=" + shown, "ok": 1.0}
