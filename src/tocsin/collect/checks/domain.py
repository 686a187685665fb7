"""A domain name's registration does not expire soon."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tocsin.collect.check import Check, check
from tocsin.collect.fields import DurationMs, HttpUrl, host_and_port
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, ProbeError, Sample, degraded, failed, outcome_of, passed, unsupported
from tocsin.collect.registration import NotRegistered, Registration, ask_rdap, ask_whois
from tocsin.model.check import CheckReason
from tocsin.model.duration import human_duration

_DAY_MS = 86_400_000
_GONE = {"clienthold", "serverhold", "pendingdelete", "redemptionperiod"}
"""EPP states in which the name does not resolve, or soon will not."""


def _domain(value: str) -> str:
    """The name as registries know it: ASCII, lower case. Raises ValueError."""
    try:
        name = value.strip().rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"(?!-)[a-z0-9-]{1,63}(?:\.(?!-)[a-z0-9-]{1,63})+", name):
        raise ValueError(f"expected a registered domain such as example.com, got {value!r}")
    return name


def _whois(value: str) -> str:
    if value:
        host_and_port(value, default_port=43)
    return value


@check("domain")
class Domain(Check):
    """A domain's registration does not expire within a week, and the registry does not hold it back.

    Asks the registry by RDAP, where it has none by WHOIS. A registry that cannot be asked, or does not tell the date, leaves the
    check unknown. Registries count questions: the default is to ask every 12 hours.
    """

    example = "{name: our domain, domain: shop.example}"
    evidence = "expires, registered, registrar, status, name_servers, source"

    light = False
    default_every_ms = 12 * 3_600_000

    name: Annotated[str, AfterValidator(_domain)] = Field(description="the registered domain, such as example.com")
    rdap: HttpUrl | None = Field(None, description="RDAP server to ask; default the one that `bootstrap` names")
    bootstrap: HttpUrl = Field("https://data.iana.org/rdap/dns.json", description="list of RDAP servers (RFC 9224)")
    whois: Annotated[str, AfterValidator(_whois)] = Field(
        "", description="WHOIS server to ask where RDAP does not answer, host or host:port; default the one IANA names"
    )
    ca_file: str = ""
    expires_warning: DurationMs = Field(30 * _DAY_MS, description="degraded when it expires within this time; 0s = never")
    expires_failure: DurationMs = Field(7 * _DAY_MS, description="fails when it expires within this time")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"name": value}

    @property
    def target(self) -> str:
        return self.name

    async def run(self, io: Io) -> Outcome:
        try:
            found = await self._ask(io)
        except NotRegistered:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{self.name} is not registered: anybody may take it")
        return found if isinstance(found, Outcome) else self._judge(found, io.now_ms())

    async def _ask(self, io: Io) -> Registration | Outcome:
        """The registration, or the outcome when no registry could be asked. Raises NotRegistered."""
        problem = "the top-level domain has no RDAP server"
        try:
            found = await ask_rdap(io, self.name, server=self.rdap or "", bootstrap=self.bootstrap, ca_file=self.ca_file)
            if found is not None and found.expires_ms:
                return found
            problem = problem if found is None else "RDAP does not tell when it expires"
        except (ProbeError, OSError, EOFError) as error:
            problem = outcome_of(error).message
        try:
            address = host_and_port(self.whois, default_port=43) if self.whois else {}
            return await ask_whois(io, self.name, server=str(address.get("host", "")), port=int(address.get("port", 43)))
        except (ProbeError, OSError, EOFError) as error:
            # The registry's trouble is not the domain's.
            outcome = outcome_of(error)
            text = f"no registry could be asked: RDAP: {problem}; WHOIS: {outcome.message}"
            return Outcome(False, outcome.reason, text, outcome.facts, unknown=True)

    def _judge(self, found: Registration, now_ms: int) -> Outcome:
        facts = {
            "domain": self.name,
            "expires": _day(found.expires_ms),
            "registered": _day(found.registered_ms),
            "registrar": found.registrar,
            "status": list(found.status),
            "name_servers": list(found.name_servers),
            "source": found.source,
        }
        if held := sorted(state for state in found.status if re.sub(r"[\s-]", "", state.lower()) in _GONE):
            return failed(CheckReason.UNEXPECTED_ANSWER, f"the registry holds {self.name} back: {', '.join(held)}", facts)
        if not found.expires_ms:
            return unsupported(f"the registry does not tell when {self.name} expires", facts)
        samples: tuple[Sample, ...] = (("probe_domain_expiry_timestamp_seconds", {}, found.expires_ms / 1000),)
        left_ms = found.expires_ms - now_ms
        if left_ms <= 0:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{self.name} expired on {facts['expires']}", facts, samples)
        said = f"{self.name} is registered for {human_duration(left_ms)} more, until {facts['expires']}"
        if left_ms < self.expires_failure:
            return failed(CheckReason.EXPIRES_SOON, said, facts, samples)
        if self.expires_warning and left_ms < self.expires_warning:
            return degraded(CheckReason.EXPIRES_SOON, said, facts, samples)
        return passed(said, facts, samples)


def _day(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d") if t_ms else ""
