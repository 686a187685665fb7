"""Passkeys as browsers speak of them (WebAuthn): what a browser is asked, and whether its answer is genuine.

The library that reads and verifies the answers is loaded with the first of them: a Tocsin without passkeys does not pay for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tocsin.web.passkeys import credential_hash
from tocsin.web.relying_party import CHALLENGE_MS, PasskeyRefused, RelyingParty

if TYPE_CHECKING:
    from fido2.server import Fido2Server

_ALGORITHMS = (-8, -7, -257)
"""EdDSA, ES256, RS256: between them every authenticator speaks one."""
_LONGEST_CREDENTIAL = 4_096
# What the library throws over an answer that is not one. It says no more than these types do.
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, OverflowError, struct.error)


# -- what the browser is asked ----------------------------------------------------------------------------------------


def creation_options(
    party: RelyingParty,
    challenge: bytes,
    *,
    title: str,
    account: str,
    full_name: str,
    handle: str,
    known: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """For `navigator.credentials.create`, bytes as base64url. `known` = (credential, transports) that the account has: no
    authenticator makes a second one."""
    return {
        "rp": {"id": party.id, "name": title},
        "user": {"id": handle, "name": account, "displayName": full_name or account},
        "challenge": encode(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": one} for one in _ALGORITHMS],
        "timeout": CHALLENGE_MS,
        "excludeCredentials": [_descriptor(*one) for one in known],
        "authenticatorSelection": {"residentKey": "preferred", "requireResidentKey": False, "userVerification": "required"},
        "attestation": "none",
    }


def _descriptor(credential: str, transports: str) -> dict[str, Any]:
    said = {"transports": transports.split(",")} if transports else {}
    return {"type": "public-key", "id": encode(credential_id_of(credential)), **said}


def request_options(party: RelyingParty, challenge: bytes) -> dict[str, Any]:
    """For `navigator.credentials.get`: whichever passkey the person has for us."""
    return {
        "rpId": party.id,
        "challenge": encode(challenge),
        "timeout": CHALLENGE_MS,
        "allowCredentials": [],
        "userVerification": "required",
    }


def handle_of(account: int, created_ms: int) -> str:
    """What authenticators call an account: always the same for one, another in another Tocsin, and nothing about the person."""
    return encode(hashlib.sha256(f"tocsin account {account} {created_ms}".encode()).digest())


# -- what it answers --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registration:
    """A verified new credential. `credential` is its attested credential data in base64url."""

    credential_hash: str
    credential: str
    sign_count: int
    synced: bool
    transports: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """An answer to a sign-in as it came: nothing of it is verified."""

    credential_hash: str
    challenge: bytes
    user_handle: str
    sign_count: int
    synced: bool
    raw: Mapping[str, Any]


def challenge_of_registration(response: Mapping[str, Any]) -> bytes:
    """The challenge that a new credential answers. Raises PasskeyRefused."""
    from fido2.webauthn import RegistrationResponse

    try:
        return RegistrationResponse.from_dict(response).response.client_data.challenge
    except _MALFORMED:
        raise PasskeyRefused("this is not the answer of an authenticator") from None


def check_registration(party: RelyingParty, challenge: bytes, response: Mapping[str, Any]) -> Registration:
    """Raises PasskeyRefused unless the person was verified and the answer is for us, this page and this challenge."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        data = _server(party).register_complete(_state(challenge), response)
        made = data.credential_data
        if made is None or made.public_key.ALGORITHM not in _ALGORITHMS or len(made) > _LONGEST_CREDENTIAL:
            raise PasskeyRefused("this authenticator makes keys of a kind that Tocsin does not know")
        try:
            made.public_key.verify(b"", b"")  # whether it is a key at all: nothing was signed yet
        except InvalidSignature:
            pass
    except _MALFORMED as error:
        raise PasskeyRefused(_said(error)) from None
    except UnsupportedAlgorithm:
        raise PasskeyRefused("this authenticator makes keys of a kind that Tocsin does not know") from None
    return Registration(
        credential_hash=credential_hash(made.credential_id),
        credential=encode(made),
        sign_count=data.counter,
        synced=data.is_backed_up(),
        transports=_transports(response),
    )


def read_assertion(response: Mapping[str, Any]) -> Assertion:
    """Raises PasskeyRefused."""
    from fido2.webauthn import AuthenticationResponse

    try:
        read = AuthenticationResponse.from_dict(response)
        data = read.response.authenticator_data
        handle = encode(read.response.user_handle) if read.response.user_handle else ""
        hashed, challenge = credential_hash(read.raw_id), read.response.client_data.challenge
        return Assertion(hashed, challenge, handle, data.counter, data.is_backed_up(), response)
    except _MALFORMED:
        raise PasskeyRefused("this is not the answer of an authenticator") from None


def check_assertion(party: RelyingParty, answer: Assertion, *, credential: str, user_handle: str) -> None:
    """Raises PasskeyRefused unless the key of `credential` signed it for us, this page and this challenge, and the person was
    verified."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from fido2.webauthn import AttestedCredentialData

    if answer.user_handle and answer.user_handle != user_handle:
        raise PasskeyRefused("this passkey belongs to another account")
    try:
        known = [AttestedCredentialData(decode(credential))]
        _server(party).authenticate_complete(_state(answer.challenge), known, answer.raw)
    except _MALFORMED as error:
        raise PasskeyRefused(_said(error)) from None
    except UnsupportedAlgorithm:
        raise PasskeyRefused("its key is of a kind that Tocsin does not know") from None


def credential_id_of(credential: str) -> bytes:
    """Of a stored credential: 16 bytes of the model, the length of the id, the id, the key."""
    data = decode(credential)
    return data[18 : 18 + int.from_bytes(data[16:18], "big")]


def _server(party: RelyingParty) -> Fido2Server:
    import logging

    from fido2.server import Fido2Server
    from fido2.webauthn import PublicKeyCredentialRpEntity

    logging.getLogger("fido2").setLevel(logging.WARNING)  # it would write the id of each credential into the log
    return Fido2Server(
        PublicKeyCredentialRpEntity(id=party.id, name="Tocsin"), verify_origin=lambda origin: origin in party.origins
    )


def _state(challenge: bytes) -> dict[str, str]:
    return {"challenge": encode(challenge), "user_verification": "required"}


def _said(error: Exception) -> str:
    """The library's own checks speak English; what it throws over a damaged answer does not."""
    text = str(error)
    if "origin" in text:
        return "the page that asked is not at the address that passkeys are for; see external_url"
    if "User" in text and "flag" in text:
        return "the authenticator did not verify you: it needs a PIN, fingerprint or face"
    return text if isinstance(error, ValueError) and text.endswith(".") else "this is not the answer of an authenticator"


def _transports(response: Mapping[str, Any]) -> str:
    inner = response.get("response")
    listed = inner.get("transports") if isinstance(inner, Mapping) else None
    known = ("usb", "nfc", "ble", "smart-card", "hybrid", "internal")
    return ",".join(one for one in known if isinstance(listed, list) and one in listed)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Raises PasskeyRefused."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise PasskeyRefused("this is not base64url") from None
