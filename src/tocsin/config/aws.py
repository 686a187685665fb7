"""`sigv4` of a receiver: where AWS's key pair comes from, in the order of AWS's own tools, as far as files and environment go."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KEYS = {"region", "access_key", "secret_key", "profile", "role_arn", "external_id", "use_fips_sts_endpoint", "service_name"}
_ADVICE = "give access_key and secret_key or a profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def sigv4_settings(raw: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Region, key pair and role. Raises ValueError: unknown keys, nothing found (instance metadata is not asked)."""
    if extra := sorted(set(raw) - _KEYS):
        raise ValueError(f"sigv4: unknown key {extra[0]!r}; check the spelling or remove it")
    given = {key: str(value) for key, value in raw.items() if value not in (None, "")}
    if bool(given.get("access_key")) != bool(given.get("secret_key")):
        raise ValueError("sigv4: access_key and secret_key must be set together")
    profile = given.get("profile") or environment.get("AWS_PROFILE", "")
    from_file = {} if given.get("access_key") else _profile(profile, environment, needed="profile" in given)
    from_environment = {
        "access_key": environment.get("AWS_ACCESS_KEY_ID", ""),
        "secret_key": environment.get("AWS_SECRET_ACCESS_KEY", ""),
        "session_token": environment.get("AWS_SESSION_TOKEN", ""),
    }
    pairs = [given, from_file, from_environment] if profile else [given, from_environment, from_file]
    found = next((pair for pair in pairs if pair.get("access_key") and pair.get("secret_key")), None)
    if found is None:
        raise ValueError(f"sigv4: no AWS credentials: {_ADVICE}")
    region = (
        given.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or from_file.get("region")
    )
    if not region:
        raise ValueError("sigv4: no region: give sigv4.region, or set AWS_REGION")
    named = {key: given.get(key, "") for key in ("role_arn", "external_id")}
    pair = {key: found.get(key, "") for key in ("access_key", "secret_key", "session_token")}
    return {"region": region, **pair, **{key: value for key, value in named.items() if value}}


def _profile(name: str, environment: Mapping[str, str], *, needed: bool) -> dict[str, str]:
    """A profile of AWS's shared credentials file."""
    home = environment.get("HOME", "")
    file = environment.get("AWS_SHARED_CREDENTIALS_FILE") or (f"{home}/.aws/credentials" if home else "")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if file and Path(file).is_file():
            parser.read_string(Path(file).read_text())
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ValueError(f"sigv4: cannot read {file}: {error}") from None
    if not parser.has_section(name or "default"):
        if needed:
            raise ValueError(f"sigv4: there is no profile {name!r} in {file or 'the shared credentials file'}")
        return {}
    entry = parser[name or "default"]
    names = {"access_key": "aws_access_key_id", "secret_key": "aws_secret_access_key", "session_token": "aws_session_token"}
    return {ours: entry.get(theirs, "") for ours, theirs in {**names, "region": "region"}.items()}
