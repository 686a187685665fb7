"""The two routes of sign-in by an identity provider; plain links and redirects, so they work without JavaScript.

What a sign-in has to remember (state, nonce, verifier, where to go) stays here for ten minutes, bound to the browser by a cookie:
neither a code from another browser nor one that nobody asked for signs anybody in.
"""

from __future__ import annotations

import hmac
from dataclasses import asdict, dataclass
from functools import partial
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tocsin.errors import CommandError
from tocsin.log import get_log
from tocsin.web.accounts import secret_hash
from tocsin.web.commands import new_secret
from tocsin.web.desk import Desk, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.limits import FailureLimit
from tocsin.web.oidc import OidcSettings, SignInRefused, authorize_url, check_claims, identity_of
from tocsin.web.oidc_provider import Fetch, Provider
from tocsin.web.signin import SignIn

log = get_log("web.oidc")

_COOKIE = "tocsin_oidc"
_FOR_MS = 600_000
_MOST_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A sign-in under way. `browser` is the hash of that browser's cookie."""

    nonce: str
    verifier: str
    target: str
    browser: str
    until_ms: int


class OidcSignIn:
    """Handlers of `/login/oidc`."""

    def __init__(self, desk: Desk, signin: SignIn, fetch: Fetch | None = None) -> None:
        self._desk = desk
        self._signin = signin
        self._fetch = fetch
        self._provider: Provider | None = None
        self._waiting: dict[str, _Waiting] = {}
        self._failures = FailureLimit(desk.parts.clock, most=30, window_ms=300_000)

    def endpoints(self) -> list[Endpoint]:
        public = partial(Endpoint, permission=Permission.PUBLIC, errors=Errors.PAGE)
        return [public("/login/oidc", self.begin), public("/login/oidc/callback", self.finish)]

    async def begin(self, request: Request) -> Response:
        """Send the browser to the identity provider."""
        target = request.query_params.get("next", "/")
        try:
            provider = self._at()
            about = await provider.description()
        except SignInRefused as error:
            return self._refuse(error, target)
        random = self._desk.parts.random
        state, browser = new_secret(random), new_secret(random)
        waiting = _Waiting(new_secret(random), new_secret(random), target, secret_hash(browser), self._desk.now_ms() + _FOR_MS)
        self._remember(state, waiting)
        url = authorize_url(
            about.authorize,
            provider.settings,
            redirect_uri=self._redirect_uri,
            state=state,
            nonce=waiting.nonce,
            verifier=waiting.verifier,
        )
        response = RedirectResponse(url, 303)
        path = self._desk.path("/login/oidc")
        # Lax: the way back from the provider is a navigation from another site.
        response.set_cookie(
            _COOKIE, browser, max_age=_FOR_MS // 1000, path=path, secure=self._desk.settings.secure, httponly=True, samesite="lax"
        )
        return response

    async def finish(self, request: Request) -> Response:
        """The provider sent the browser back: turn the code into a session."""
        query, address = request.query_params, peer_address(request)
        self._failures.check(address)
        waiting = self._waiting.pop(query.get("state", ""), None)
        try:
            provider = self._at()
            waiting = self._judged(request, waiting, provider.settings)
            claims = await provider.claims(query["code"], redirect_uri=self._redirect_uri, verifier=waiting.verifier)
            check_claims(claims, provider.settings, nonce=waiting.nonce, now_ms=self._desk.now_ms())
            who = asdict(identity_of(claims, provider.settings))
            return await self._signin.begin(request, {"outside": who}, waiting.target)
        except (SignInRefused, CommandError) as error:
            self._failures.failed(address)
            return self._refuse(error, waiting.target if waiting else "/")

    def _judged(self, request: Request, waiting: _Waiting | None, settings: OidcSettings) -> _Waiting:
        """The sign-in this answer belongs to. Raises SignInRefused."""
        query = request.query_params
        if waiting is None or waiting.until_ms <= self._desk.now_ms():
            raise SignInRefused("this sign-in was not begun here, or took more than ten minutes; begin again")
        if not hmac.compare_digest(secret_hash(request.cookies.get(_COOKIE, "")), waiting.browser):
            raise SignInRefused("this sign-in was begun in another browser; begin again")
        if query.get("iss", settings.issuer) != settings.issuer:
            raise SignInRefused("the answer is from another identity provider")
        if "error" in query:
            raise SignInRefused(f"the identity provider says: {(query.get('error_description') or query['error'])[:200]}")
        if not query.get("code"):
            raise SignInRefused("the identity provider sent no code")
        return waiting

    def _remember(self, state: str, waiting: _Waiting) -> None:
        now_ms = self._desk.now_ms()
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting = {key: one for key, one in self._waiting.items() if one.until_ms > now_ms}
        while len(self._waiting) >= _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[state] = waiting

    def _at(self) -> Provider:
        """The provider as it is configured now. Raises SignInRefused when there is none."""
        settings = self._desk.settings.oidc
        if settings is None:
            raise SignInRefused("no identity provider is configured (web.oidc)")
        if self._provider is None or self._provider.settings != settings:
            self._provider = Provider(settings, self._desk.parts.clock, self._fetch)
        return self._provider

    @property
    def _redirect_uri(self) -> str:
        base = urlsplit(self._desk.settings.base_url)
        return f"{base.scheme}://{base.netloc}{self._desk.path('/login/oidc/callback')}"

    def _refuse(self, error: Exception, target: str) -> Response:
        log.warning("sign-in by the identity provider refused", reason=str(error))
        return self._signin.page(target, error=str(error), status=403)
