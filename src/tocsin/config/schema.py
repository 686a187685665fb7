"""Tocsin's own sections of the configuration file. Prometheus's and Alertmanager's stand in prometheus.py and alertmanager.py.

Every field's docstring is its reference text; the JSON Schema for editors comes from these models.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tocsin.config.fields import DurationMs, MinuteOfDay, Section, Text, Texts, TimeZone, Weekdays
from tocsin.config.maintenance import MaintenanceSection
from tocsin.config.sloalert import NO_ALERT, SloAlertSection, short_form

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s/][^/\n]*$")]
Role = Literal["viewer", "responder", "admin"]
Feature = Literal[
    "promql-experimental-functions",
    "promql-duration-expr",
    "promql-delayed-name-removal",
    "exemplar-storage",
    "promql-per-step-stats",
    "tocsin-anomaly",
]


class Contact(Section):
    """One way to reach a person: `{email: ana@shop.example}`, `{slack: {env: SLACK_URL}}`, `{sms: "+33..."}`, ..."""

    name: str = ""
    """Used in `notify`; the channel's name when left out."""
    channel: str
    address: Text
    settings: dict[str, Any] = Field(default_factory=dict)
    verified: bool = True
    """false: the person must enter a code that is sent there before pages use it."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "channel" in raw:
            return raw
        rest = dict(raw)
        name = rest.pop("name", "")
        settings = rest.pop("settings", {})
        verified = rest.pop("verified", True)
        if len(rest) != 1:
            raise ValueError("expected one channel with its address, such as `email: ana@shop.example`")
        ((channel, address),) = rest.items()
        if isinstance(address, dict):
            settings = {**address, **settings}
            address = next(
                (str(address[k]) for k in ("address", "to", "channel", "chat_id", "topic", "url") if k in address), channel
            )
        return {"name": name, "channel": channel, "address": address, "settings": settings, "verified": verified}


class NotifyStep(Section):
    """`{by: [email, slack], after: 5m}`: use these contacts this long after the person is paged."""

    by: Texts
    after: DurationMs = 0


class Notify(Section):
    """What is used for urgent pages (`high`) and the others (`low`). Left out: urgent pages use every contact at once."""

    high: tuple[NotifyStep, ...] = ()
    low: tuple[NotifyStep, ...] = ()


class Quiet(Section):
    """Hours in which only severities in `allow` get through; the rest waits."""

    start: MinuteOfDay = Field(alias="from")
    end: MinuteOfDay = Field(alias="to")
    allow: Texts = ("critical",)
    days: Weekdays = ()
    """Days on which they begin, such as `[sat, sun]`; left out = every day."""
    time_zone: TimeZone | None = None


class User(Section):
    """A person. What the operator's file declares counts as verified."""

    name: Name
    full_name: str = ""
    email: str = ""
    """Joins the person to an account, and is a contact of its own when `contact` is left out."""
    role: Role = "responder"
    time_zone: TimeZone = "UTC"
    contact: tuple[Contact, ...] = ()
    notify: Notify = Notify()
    quiet_hours: Quiet | None = None

    @field_validator("email")
    @classmethod
    def _mail(cls, value: str) -> str:
        if value and not re.fullmatch(r"[^@\s<>\"]+@[^@\s<>\"]+", value):
            raise ValueError(f"{value!r} is not an e-mail address")
        return value


class Team(Section):
    name: Name
    members: Texts


class Step(Section):
    """Whom this step pages (`ana`, `schedule:web`, `team:web`, `receiver:ops`), and how long it waits for an answer."""

    notify: Texts
    wait: DurationMs = 300_000
    min_severity: str = ""

    @field_validator("wait")
    @classmethod
    def _not_at_once(cls, value: int) -> int:
        if value < 1000:
            raise ValueError("a step waits at least 1s for an answer")
        return value


class PolicySection(Section):
    """An escalation policy: its steps in order, how often they repeat, and who is told when nobody answered."""

    name: Name
    steps: tuple[Step, ...] = Field(min_length=1)
    repeat: int = Field(default=2, ge=0, le=9)
    final: Texts = ()
    allow_gaps: bool = False
    """There may be times when no step reaches anybody; `tocsin config check` warns of them and does not fail."""


class Service(Section):
    """What alerts with the label `service: NAME` are about."""

    name: Name
    owner: str = ""
    policy: str = ""
    tier: str = ""
    """How much depends on it, in your own words; shown with the service."""
    runbook: str = ""
    """A link in messages, on the incident and on the service's page."""
    repository: str = ""
    """A link on the service's page."""
    depends_on: Texts = ()
    urgency: Literal["high", "low", "by_severity"] = "by_severity"
    acknowledge_timeout: DurationMs = 0
    auto_resolve_after: DurationMs = 0
    reopen_window: DurationMs = 600_000


class Store(Section):
    """How long samples and reports are kept, and limits of the store."""

    retention: DurationMs = 90 * 86_400_000
    retention_rollup: DurationMs = 400 * 86_400_000
    retention_size_bytes: int = Field(default=0, ge=0)
    retention_reports: DurationMs = 800 * 86_400_000
    """How long reports are kept after they were made; 0 = for good."""
    max_series: int = Field(default=2_000_000, ge=1000)
    backlog_bytes: int = Field(default=2 << 30, ge=0)
    """How much of the log is kept for `remote_write` while a receiver is away."""


class Host(Section):
    """Watching the machine Tocsin runs on."""

    enabled: bool = True
    every: DurationMs = 15_000


class Egress(Section):
    """Where checks and notifications may connect to: addresses in CIDR form. `deny` wins. Metadata services are always denied."""

    allow: Texts = ()
    deny: Texts = ()


class SourceSection(Section):
    """Bring your own Prometheus: rules, dashboards and backtests run on it."""

    prometheus: str
    username: str = ""
    password: str = ""
    bearer_token: str = ""
    timeout: DurationMs = 30_000


class Oidc(Section):
    """People sign in with an identity provider (OpenID Connect, authorisation code with PKCE); see docs/how-to/oidc.md."""

    issuer: str
    """As the provider calls itself, such as https://login.example/realms/shop."""
    client_id: str = Field(min_length=1)
    client_secret: str = ""
    label: str = "Sign in with your organisation"
    """Text of the link on the sign-in page."""
    scopes: Texts = ("openid", "email", "profile")
    name_claim: str = "email"
    """What an account is called; an e-mail address counts only when the provider has verified it."""
    role_claim: str = "groups"
    """A text or a list; dots lead inside, such as realm_access.roles."""
    roles: dict[Literal["viewer", "responder", "admin"], Texts] = Field(default_factory=dict)
    """Values of `role_claim` that give a role; the highest counts, at every sign-in."""
    default_role: Literal["", "viewer", "responder", "admin"] = ""
    """For people whose claim gives none. Left out: they are refused."""
    allowed_domains: Texts = ()
    """Only verified e-mail addresses of these domains may sign in."""

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        if not re.fullmatch(r"https://[^/\s?#]+[^\s?#]*|http://(localhost|127\.[0-9.]+|\[::1\])(:\d+)?(/[^\s?#]*)?", value):
            raise ValueError("expected an https URL such as https://login.example/realms/shop (http only on this machine)")
        return value

    @field_validator("scopes")
    @classmethod
    def _openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError("expected the scope openid among them: without it there is no ID token")
        return value

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not self.default_role and not any(self.roles.values()):
            raise ValueError("nobody could sign in: set roles (values of role_claim that give a role) or default_role")
        return self


class Web(Section):
    """The public port behind a proxy."""

    route_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    """Path under which everything is served, such as /tocsin."""
    trusted_proxies: Texts = ()
    """Addresses or networks whose X-Forwarded-For and -Proto are believed."""
    allowed_hosts: Texts = ()
    """Host headers that are ours besides the one of `external_url` and loopback names."""
    admin_api: bool = False
    """Answer `/api/v1/admin/tsdb/*`: deleting series and making snapshots (the role admin is needed as well)."""
    remote_read_samples: int = Field(default=50_000_000, ge=1)
    """Most samples in an answer to a remote read that cannot take streamed chunks."""
    frame_ancestors: Texts = ()
    """Sites whose pages may show shared panels in a frame, such as https://wiki.example, or `self`; empty = nobody."""
    oidc: Oidc | None = None

    @field_validator("frame_ancestors")
    @classmethod
    def _sites(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if text not in ("self", "*") and not re.fullmatch(r"https?://(\*\.)?[A-Za-z0-9.-]+(:\d{1,5})?", text):
                raise ValueError(f"expected a site without a path, such as https://wiki.example, not {text!r}")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ipaddress.ip_network(text, strict=False)
        return value


class Component(Section):
    name: str
    checks: Texts = Field(min_length=1)
    """Ids of checks; the component is as bad as the worst of them."""


class StatusWebhooks(Section):
    """Webhooks that visitors of a status page give. Strangers say where we post: only the public internet is reached."""

    allow_private: bool = False
    """They may lead to private, loopback and link-local addresses: for a page that only your own network sees."""


class StatusPage(Section):
    """A public page at /status/SLUG: only what stands here is shown."""

    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: str
    components: tuple[Component, ...] = Field(min_length=1)
    link: Annotated[str, Field(pattern=r"^(https?://[^\s<>\"]+)?$")] = ""
    """Your own site: name and logo on the page lead there."""
    colour: Annotated[str, Field(pattern=r"^(#[0-9a-fA-F]{6})?$")] = ""
    """Of the bar on top of the page: `"#0b57a4"`."""
    logo: str = ""
    """A small .svg or .png file (8 KiB at most), relative to this file; it becomes a part of the page."""
    webhooks: bool | StatusWebhooks = False
    """`true`, or a block: visitors may follow the page by a webhook of theirs."""


class WatchDog(Section):
    """An address outside this machine that is called every `every`: when the calls stop, somebody else tells you."""

    url: str
    every: DurationMs = 60_000

    @field_validator("url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^/\s]+\S*", value):
            raise ValueError("expected a URL such as https://hc.example/ping/0123")
        return value

    @field_validator("every")
    @classmethod
    def _not_too_often(cls, value: int) -> int:
        if value < 10_000:
            raise ValueError("expected at least 10s")
        return value


class Handoff(Section):
    """Notices when a schedule changes hands: open incidents, silences, last week's pages. By mail and chat, never by SMS."""

    notify: Literal["both", "incoming", "outgoing", "none"] = "both"
    schedules: Texts = ()
    """Only these; all when left out."""


class Drill(Section):
    """Once a day a harmless message through every way by which people are paged; an alert when one is unproven for too long."""

    at: MinuteOfDay = 600
    """Time of day, such as 10:00 (the default)."""
    time_zone: TimeZone = "UTC"
    channels: Texts = ()
    """Only these channels; all when left out."""
    to: Texts = ()
    """Users and receivers that take part; all when left out. Of several people with one provider one is asked a day, in turn."""
    stale_after: DurationMs = 129_600_000


class KpiSection(Section):
    """A figure with a target and an owner: in every report, against the time before."""

    name: Name
    expr: str
    """PromQL with one result. `$window` becomes the asked time; an expression without it is averaged over that time."""
    target: str | float | int | None = None
    """Such as `">= 0.99"` or `"<= 250"`; a bare number is a floor. Left out: only shown."""
    owner: str = ""
    unit: str = ""

    @field_validator("target")
    @classmethod
    def _target(cls, value: str | float | int | None) -> str | float | int | None:
        if isinstance(value, str) and not re.fullmatch(r"\s*(>=|<=)?\s*-?\d+(\.\d+)?([eE][+-]?\d+)?\s*", value):
            raise ValueError("expected a target such as '>= 0.99' or '<= 250'")
        return value


class SloSection(Section):
    """An objective: a share of good over the reported time. What is left of `target` to 1 is the error budget."""

    name: Name
    target: float = Field(gt=0, lt=1)
    """Such as 0.999."""
    expr: str = ""
    """PromQL with one result from 0 to 1, such as `sum(increase(ok_total[$window])) / sum(increase(all_total[$window]))`."""
    check: str = ""
    """Or: the uptime of this check."""
    owner: str = ""
    service: str = ""
    alert: Annotated[SloAlertSection, BeforeValidator(short_form)] = NO_ALERT
    """`true`, or a block: people are told when the budget burns too fast ([how](../how-to/services.md#alerts-of-objectives)).
    Needs `$window` in `expr`."""

    @model_validator(mode="after")
    def _one_source(self) -> SloSection:
        if bool(self.expr) == bool(self.check):
            raise ValueError("expected either `expr` or `check`")
        return self


class ReportSection(Section):
    """A report of the last whole week (from Monday) or month, made and sent by itself."""

    name: Name
    every: Literal["week", "month"] = "week"
    on: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] = "mon"
    """Of weekly reports; monthly ones are made on the first."""
    at: MinuteOfDay = 480
    """Time of day, such as 08:00 (the default)."""
    time_zone: TimeZone = "UTC"
    to: Texts = ()
    """Users and receivers; by mail the whole report, by chat its summary with a link."""
    title: str = ""


class OwnSections(Section):
    """Everything in the file that is neither Prometheus's nor Alertmanager's."""

    external_url: str = ""
    """How people reach Tocsin: every link in a message begins with it. Left out: the address it listens on. Passkeys are made for
    its host name, over https: another one makes them useless (docs/how-to/signing-in.md)."""
    severities: Texts = ("info", "warning", "critical")
    """Ordered, least severe first."""
    enable_features: tuple[Feature, ...] = ()
    """PromQL beyond the stable language, by Prometheus's names of `--enable-feature`; `tocsin-anomaly` adds anomaly functions."""
    shipped_rules: bool = True
    """The rules for hosts, HTTP services, databases, pools, payments and Tocsin itself."""
    users: tuple[User, ...] = ()
    """People who are paged."""
    teams: tuple[Team, ...] = ()
    policies: tuple[PolicySection, ...] = ()
    """Escalation policies. Without one, users are all paged at once."""
    schedules: tuple[dict[str, Any], ...] = ()
    """Shapes of docs/reference/incidents.md; read by incidents/schedule.py."""
    services: tuple[Service, ...] = ()
    store: Store = Store()
    host: Host = Host()
    egress: Egress = Egress()
    web: Web = Web()
    status_pages: tuple[StatusPage, ...] = ()
    dashboard_files: tuple[str, ...] = ()
    """Further dashboards, one a file; patterns are relative to this file. See docs/how-to/dashboards.md."""
    source: SourceSection | None = None
    channels: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings said once for everybody's contacts of a channel: bot tokens, signing secrets, senders."""
    maintenance: tuple[MaintenanceSection, ...] = ()
    """Planned work: alerts that match are recorded, nobody is told."""
    dead_man: WatchDog | None = None
    handoff: Handoff = Handoff()
    drill: Drill | None = None
    kpis: tuple[KpiSection, ...] = ()
    slos: tuple[SloSection, ...] = ()
    report: tuple[ReportSection, ...] = ()
    semantics: Literal["compatible", "prometheus"] = "compatible"
    """How rules of `rule_files` are evaluated; see docs/reference/rules.md."""

    @field_validator("external_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^/\s]+(/[^\s?#]*)?", value):
            raise ValueError("expected an absolute URL such as https://tocsin.example")
        return value.rstrip("/")

    @field_validator("severities")
    @classmethod
    def _severities(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("expected at least one severity, each once, least severe first")
        return value
