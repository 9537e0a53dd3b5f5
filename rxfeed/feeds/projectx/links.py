"""How links to the hubs are opened: with the token that there is, over the socket of one transport."""

from __future__ import annotations

from collections.abc import Callable

from reactivex import Observable, Subject
from reactivex import operators as ops

from rxfeed.clock import Clock
from rxfeed.errors import ConnectionLost, TokenRefused
from rxfeed.feeds.signalr import Timing, connect
from rxfeed.feeds.tasks import Tasks
from rxfeed.feeds.transport import Transport
from rxfeed.model import Undecoded
from rxfeed.valve import Valve

from .deployment import Deployment
from .kinds import KINDS, TRADES, HubName, Kind
from .link import Counters, Link
from .login import Login
from .opening import OnLost, once
from .symbols import symbol_of


class Links:
    """Opens links to the hubs of a gateway.

    Args:
        deployment: which gateway.
        transport: who opens sockets.
        login: has the token.
        clock: what time it is.
        counters: of the gateway.
        timing: pings and timeouts.
        valve: while it is shut nothing is read of the market hub.
        reject: told of what cannot be read.
        tasks: of the gateway.
    """

    def __init__(
        self, deployment: Deployment, transport: Transport, login: Login, *, clock: Clock, counters: Counters, timing: Timing,
        valve: Valve | None, reject: Callable[[Undecoded], object], tasks: Tasks,
    ) -> None:  # fmt: skip
        self._deployment, self._transport, self._login, self._clock = deployment, transport, login, clock
        self._counters, self._timing, self._reject, self._tasks = counters, timing, reject, tasks
        self.valve = valve
        self._closing: Subject[None] = Subject()

    def once(self, hub: HubName) -> Observable[Link]:
        """Return one link as an observable, which errors when it is lost and completes when this is closed."""
        url = self._deployment.market if hub == "market" else self._deployment.user
        kinds = [kind for kind in KINDS if kind.hub == hub]

        async def open(on_lost: OnLost) -> Link:
            return await self._open(url, kinds, on_lost)

        return once(open, name=url, tasks=self._tasks, held=self._transport.held).pipe(ops.take_until(self._closing))

    def outdated(self, link: Link) -> bool:
        """Whether a link was opened with a token that is no longer the newest."""
        held = self._login.held
        return held is not None and held.secret != link.token

    def close(self) -> None:
        """Close all of them."""
        self._closing.on_next(None)

    async def _open(self, url: str, kinds: list[Kind], on_lost: OnLost) -> Link:
        token = await self._login.token()

        def lost(error: ConnectionLost) -> None:
            if error.cause == "logout":
                self._login.forget(token, refused=False)  # its session has ended: whoever connects next logs in first
            on_lost(error)

        link = Link(
            kinds, clock=self._clock, counters=self._counters, symbol_of=symbol_of, reject=self._reject, token=token,
            on_lost=lost,
        )  # fmt: skip
        deployment = self._deployment
        try:
            connection = await connect(
                self._transport, url, token=token, place=deployment.place, negotiate=deployment.negotiate,
                targets=link.targets, on_calls=link.on_calls, on_garbage=link.on_garbage, on_lost=link.lost,
                timing=self._timing, valve=self.valve if TRADES in kinds else None,
            )  # fmt: skip
        except TokenRefused:
            self._login.forget(token)  # whoever tries again logs in first
            raise
        link.connected(connection)
        return link
