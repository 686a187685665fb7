"""The route table: every path that Tocsin answers, with who may call it. Read it as the product's list of doors."""

from __future__ import annotations

from functools import partial

from starlette.routing import Route

from tocsin.web import api_alertmanager
from tocsin.web.api.additions import Additions
from tocsin.web.api.alerts import Alerts
from tocsin.web.api.basics import Basics
from tocsin.web.api.check_history import CheckHistory
from tocsin.web.api.check_run import CheckRunPage
from tocsin.web.api.checks import Checks
from tocsin.web.api.contacts import Contacts
from tocsin.web.api.dashboards import Dashboards
from tocsin.web.api.explain import Explain
from tocsin.web.api.incidents import Incidents
from tocsin.web.api.maintenance import Maintenance
from tocsin.web.api.notifications import Notifications
from tocsin.web.api.oncall import OnCall
from tocsin.web.api.overview import OverviewPage
from tocsin.web.api.parts_of_query import QueryParts
from tocsin.web.api.passkeys import Passkeys
from tocsin.web.api.people import People
from tocsin.web.api.proof import Proof
from tocsin.web.api.quiethours import QuietHoursApi
from tocsin.web.api.reports import Reports
from tocsin.web.api.rule_history import RuleHistories
from tocsin.web.api.service_pages import ServicePages
from tocsin.web.api.silences import Silences
from tocsin.web.api.slos import Slos
from tocsin.web.api.statuspages import StatusPagesApi
from tocsin.web.api.trials import Trials
from tocsin.web.charts import Charts
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Errors, MiB, Permission
from tocsin.web.enqueue import Enqueue
from tocsin.web.health import Health
from tocsin.web.ingest import Inbound, Ingest
from tocsin.web.links import Links
from tocsin.web.live import Missed, changes_handler, stream_handler
from tocsin.web.oidc_signin import OidcSignIn
from tocsin.web.openapi import openapi_endpoint
from tocsin.web.panel_views import Panels
from tocsin.web.passkey_signin import PasskeySignIn
from tocsin.web.probes import Probes
from tocsin.web.prometheus.admin import Admin
from tocsin.web.prometheus.federate import Federate
from tocsin.web.prometheus.labels import LabelQueries
from tocsin.web.prometheus.query import Queries
from tocsin.web.prometheus.read import RemoteRead
from tocsin.web.prometheus.search import Search
from tocsin.web.prometheus.state import RuntimeState
from tocsin.web.prometheus.status import Status
from tocsin.web.runbooks import Runbooks
from tocsin.web.signin import Passwords, SignIn
from tocsin.web.static import Dashboard
from tocsin.web.statuspage import StatusPages
from tocsin.web.statuspage_visitors import Visitors
from tocsin.web.wallboard import Wallboard

API = "/api/tocsin/v1"
_POSTED_ALERTS = 32 * MiB
_QUERY_FORM = 16 * MiB
_READ_REQUEST = 32 * MiB


def route_table(desk: Desk) -> list[Endpoint]:
    """Every endpoint; the first that matches answers."""
    passwords = Passwords(desk.settings)
    signin = SignIn(desk, passwords)
    return [
        *prometheus_endpoints(desk),
        *alertmanager_endpoints(desk),
        *tocsin_endpoints(desk, passwords),
        *Ingest(desk).endpoints(),
        *Enqueue(desk).endpoints(),
        *Inbound(desk).endpoints(),
        *Health(desk).endpoints(),
        *signin.endpoints(),
        *OidcSignIn(desk, signin).endpoints(),
        *PasskeySignIn(desk, signin).endpoints(),
        *Links(desk).endpoints(),
        *Charts(desk).endpoints(),
        *Panels(desk).open_endpoints(),
        *Wallboard(desk).endpoints(),
        *StatusPages(desk).endpoints(),
        *Visitors(desk).endpoints(),
        *Runbooks(desk).endpoints(),
        *Dashboard(desk).endpoints(),
    ]


def prometheus_endpoints(desk: Desk) -> list[Endpoint]:
    """Prometheus's API. Methods are upstream's: clients rely on 405 where POST is not known."""
    queries, labels, state, status = Queries(desk), LabelQueries(desk), RuntimeState(desk), Status(desk)
    search, federate = Search(desk), Federate(desk)
    get_or_post = {
        "query": queries.query,
        "query_range": queries.query_range,
        "query_exemplars": queries.exemplars,
        "format_query": queries.format_query,
        "parse_query": queries.parse_query,
        "series": labels.series,
        "labels": labels.labels,
        "search/metric_names": search.metric_names,
        "search/label_names": search.label_names,
        "search/label_values": search.label_values,
    }
    get = {
        "label/{name}/values": labels.values,
        "metadata": labels.metadata,
        "rules": state.rules,
        "alerts": state.alerts,
        "targets": state.targets,
        "scrape_pools": state.scrape_pools,
        "targets/metadata": state.targets_metadata,
        "alertmanagers": state.alertmanagers,
        "status/config": status.config,
        "status/runtimeinfo": status.runtimeinfo,
        "status/buildinfo": status.buildinfo,
        "status/flags": status.flags,
        "status/tsdb": status.tsdb,
        "status/walreplay": status.walreplay,
    }
    both = [(path, handler, ("GET", "POST")) for path, handler in get_or_post.items()]
    only = [(path, handler, ("GET",)) for path, handler in get.items()]
    read = partial(Endpoint, permission=Permission.LOOPBACK_READ, max_body=_QUERY_FORM)
    api = [
        read(f"/api/v1/{path}", handler, methods=methods, errors=Errors.PROMETHEUS) for path, handler, methods in [*both, *only]
    ]
    admin = Admin(desk)
    change = partial(Endpoint, permission=Permission.ADMIN, methods=("POST", "PUT"), errors=Errors.PROMETHEUS)
    tsdb = [
        change(f"/api/v1/admin/tsdb/{path}", handler)
        for path, handler in (
            ("delete_series", admin.delete_series),
            ("clean_tombstones", admin.clean_tombstones),
            ("snapshot", admin.snapshot),
        )
    ]
    remote = read("/api/v1/read", RemoteRead(desk).read, methods=("POST",), errors=Errors.PLAIN, max_body=_READ_REQUEST)
    return [*api, *tsdb, remote, read("/federate", federate.federate, errors=Errors.PLAIN)]


def alertmanager_endpoints(desk: Desk) -> list[Endpoint]:
    return [_declared(route) for route in api_alertmanager.routes(desk.parts)]


def _declared(route: Route) -> Endpoint:
    """A route of the Alertmanager API with its permission: reads and posted alerts by the loopback rule, silences responders."""
    if isinstance(route, Endpoint):
        return route
    methods = set(route.methods or ()) - {"HEAD"}
    if methods == {"GET"}:
        permission = Permission.LOOPBACK_READ
    elif route.path.endswith("/alerts"):
        permission = Permission.LOOPBACK_SEND
    else:
        permission = Permission.RESPONDER
    return Endpoint(
        route.path,
        route.endpoint,
        methods=sorted(methods),
        permission=permission,
        errors=Errors.ALERTMANAGER,
        max_body=_POSTED_ALERTS,
    )


def tocsin_endpoints(desk: Desk, passwords: Passwords) -> list[Endpoint]:
    """Our own REST API, the live stream, and its description."""
    alerts, overview = Alerts(desk), OverviewPage(desk)

    async def beat() -> dict[str, object]:
        return {"now_ms": desk.now_ms(), "engine": await overview.engine()}

    endpoints = [
        *overview.endpoints(API),
        *Checks(desk).endpoints(API),
        *CheckHistory(desk).endpoints(API),
        *CheckRunPage(desk).endpoints(API),
        *Probes(desk).endpoints(API),
        *alerts.endpoints(API),
        *RuleHistories(desk).endpoints(API),
        *Incidents(desk).endpoints(API),
        *Silences(desk, alerts).endpoints(API),
        *Maintenance(desk, alerts).endpoints(API),
        *StatusPagesApi(desk).endpoints(API),
        *Notifications(desk).endpoints(API),
        *People(desk, passwords).endpoints(API),
        *Passkeys(desk, passwords).endpoints(API),
        *Contacts(desk).endpoints(API),
        *QuietHoursApi(desk).endpoints(API),
        *OnCall(desk).endpoints(API),
        *Reports(desk).endpoints(API),
        *ServicePages(desk).endpoints(API),
        *Slos(desk).endpoints(API),
        *Explain(desk).endpoints(API),
        *QueryParts(desk).endpoints(API),
        *Proof(desk).endpoints(API),
        *Trials(desk).endpoints(API),
        *Dashboards(desk).endpoints(API),
        *Additions(desk).endpoints(API),
        *Panels(desk).endpoints(API),
        *Basics(desk).endpoints(API),
        Endpoint(API + "/stream", stream_handler(desk.hub, beat), permission=Permission.VIEWER),
        Endpoint(API + "/changes", changes_handler(desk.hub, beat), permission=Permission.VIEWER, answer=Missed),
    ]
    return [*endpoints, openapi_endpoint(API, endpoints, desk)]
