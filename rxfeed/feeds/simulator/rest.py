"""The gateway's REST, as functions from a request to an answer: login, accounts, contracts, history, status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Any, Final, Protocol, cast

import msgspec

from rxfeed.feeds.simulator.archive import Archive
from rxfeed.feeds.simulator.history import MOST, rows
from rxfeed.feeds.simulator.http import Answer, Request, answer, envelope, refusal
from rxfeed.feeds.simulator.market import Contract
from rxfeed.feeds.simulator.quota import Quota, history, others
from rxfeed.feeds.simulator.stamps import instant
from rxfeed.feeds.simulator.tokens import Tokens

_SEARCHED: Final = 20
_BARS: Final = "/api/History/retrieveBars"


class Gateway(Protocol):
    """What REST needs of the simulator."""

    archive: Archive
    tokens: Tokens
    markets: dict[str, Contract]

    @property
    def now(self) -> int:
        """The server's time, skewed if it is."""
        ...

    @property
    def users(self) -> Mapping[str, str]:
        """Who may log in, with which key."""
        ...

    def accounts(self, user: str) -> list[dict[str, Any]]:
        """Return a user's accounts."""
        ...

    def issue(self, user: str) -> str:
        """Return a new token for a user."""
        ...

    def log_out(self, token: str) -> None:
        """End a session."""
        ...


class Rest:
    """Answers requests under `/api`.

    Args:
        gateway: the simulator.
        limits: whether rates are limited.
    """

    __slots__ = ("_bars", "_gateway", "_limits", "_others", "_routes")

    def __init__(self, gateway: Gateway, *, limits: bool = True) -> None:
        self._gateway = gateway
        self._limits = limits
        self._bars: Quota = history()
        self._others: Quota = others()
        self._routes: dict[str, Callable[[str, dict[str, Any]], Answer]] = {
            "/api/Auth/validate": self._validate,
            "/api/Auth/logout": self._logout,
            "/api/Account/search": self._accounts,
            "/api/Contract/search": self._search,
            "/api/Contract/searchById": self._by_id,
            "/api/Contract/available": self._available,
            _BARS: self._history,
        }

    def handle(self, request: Request) -> Answer:
        """Return the answer to a request."""
        if request.path == "/api/Status/ping":
            return answer("pong") if request.method == "GET" else refusal(405, Allow="GET")
        login = request.path == "/api/Auth/loginKey"
        route = self._routes.get(request.path)
        if not login and route is None:
            return refusal(404)
        if request.method != "POST":
            return refusal(405, Allow="POST")
        token, now = request.bearer, self._gateway.now
        user = "(login)" if login else self._gateway.tokens.user(token, now)
        if user is None:
            return refusal(401, WWW_Authenticate='Bearer error="invalid_token"')
        if self._limits:
            wait = (self._bars if request.path == _BARS else self._others).take(user, now)
            if wait is not None:
                return refusal(429, Retry_After=str(wait))
        body = _body(request.body)
        if body is None:
            return answer({"title": "One or more validation errors occurred.", "status": 400}, 400)
        if login:
            return self._login(body)
        assert route is not None
        assert token is not None
        return route(token, body)

    # Login

    def _login(self, body: dict[str, Any]) -> Answer:
        user, key = body.get("userName"), body.get("apiKey")
        if not isinstance(user, str) or not isinstance(key, str):
            return answer({"title": "userName and apiKey are required.", "status": 400}, 400)
        known = self._gateway.users.get(user)
        if known is None or not compare_digest(known.encode(), key.encode()):
            return envelope(3, "Invalid credentials.", token=None)
        return envelope(token=self._gateway.issue(user))

    def _validate(self, token: str, _: dict[str, Any]) -> Answer:
        return envelope(newToken=self._gateway.issue(self._user(token)))

    def _logout(self, token: str, _: dict[str, Any]) -> Answer:
        self._gateway.log_out(token)
        return envelope()

    def _user(self, token: str) -> str:
        user = self._gateway.tokens.user(token, self._gateway.now)
        assert user is not None
        return user

    # What there is

    def _accounts(self, token: str, body: dict[str, Any]) -> Answer:
        found = self._gateway.accounts(self._user(token))
        if body.get("onlyActiveAccounts"):
            found = [one for one in found if one["canTrade"]]
        return envelope(accounts=found)

    def _search(self, _: str, body: dict[str, Any]) -> Answer:
        text = str(body.get("searchText") or "").strip().upper()
        found = [
            row for row in self._rows()
            if text in row["name"].upper() or text in row["id"].upper() or text in row["description"].upper()
        ]  # fmt: skip
        return envelope(contracts=found[:_SEARCHED])

    def _by_id(self, _: str, body: dict[str, Any]) -> Answer:
        market = self._gateway.markets.get(str(body.get("contractId")))
        if market is None:
            return envelope(1, "Contract not found.", contract=None)
        return envelope(contract=market.listed.row())

    def _available(self, _: str, body: dict[str, Any]) -> Answer:
        return envelope(contracts=[row for row in self._rows() if row["activeContract"]])

    def _rows(self) -> list[dict[str, Any]]:
        return [market.listed.row() for market in self._gateway.markets.values()]

    # History

    def _history(self, _: str, body: dict[str, Any]) -> Answer:
        market = self._gateway.markets.get(str(body.get("contractId")))
        if market is None:
            return envelope(1, "Contract not found.", bars=None)
        unit, number, limit = body.get("unit"), body.get("unitNumber"), body.get("limit", MOST)
        if not isinstance(unit, int) or not 1 <= unit <= 6:
            return envelope(2, "Unit must be 1 to 6.", bars=None)
        if not isinstance(number, int) or number < 1:
            return envelope(3, "Unit number must be at least 1.", bars=None)
        if not isinstance(limit, int) or limit < 1:
            return envelope(4, "Limit must be at least 1.", bars=None)
        try:
            start, end = instant(str(body.get("startTime"))), instant(str(body.get("endTime")))
        except ValueError:
            return answer({"title": "startTime and endTime must be instants.", "status": 400}, 400)
        partial, now = bool(body.get("includePartialBar")), self._gateway.now
        found = self._gateway.archive.bars(market, unit, number, start, end, limit, now, partial=partial)
        return envelope(bars=rows(found, market.listed))


def _body(data: bytes) -> dict[str, Any] | None:
    if not data.strip():
        return {}
    try:
        body = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None
