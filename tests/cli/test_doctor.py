"""`rxfeed doctor` on a simulated network: what it finds, what it says to do, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from rxfeed.cli._checks import Check, look_at_clock
from rxfeed.cli.doctor import examined
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.transport import Answer
from rxfeed.testing import Simulation, simulate
from tests.cli.conftest import Cli
from tests.cli.streams import HOST, USERS, world

SECOND = 1_000_000_000
HTTPS = USERS | {"RXFEED_GATEWAY": f"https://{HOST}"}


def examine(
    environ: Mapping[str, str],
    *,
    symbol: str = "MNQ",
    login: bool = True,
    as_json: bool = False,
    outside: Callable[[Simulation], web.Application] | None = None,
    fault: str | None = None,
    start: str = "2026-01-05T14:30Z",
) -> dict[str, Check]:
    async def main(simulation: Simulation) -> list[Check]:
        async with AsyncExitStack() as stack:
            if outside is not None:
                await stack.enter_async_context(simulation.network.serve(HOST, outside(simulation)))
            if fault is not None:
                getattr(simulation.network, fault)(HOST)
            return await examined(world(simulation, environ, []), symbol, login=login, as_json=as_json)

    return {check.name: check for check in simulate(main, start=start)}


def states(checks: Mapping[str, Check]) -> dict[str, str]:
    return {name: check.state for name, check in checks.items()}


def simulated(simulation: Simulation) -> web.Application:
    return Simulator(clock=simulation.clock).app()


ALL = ("credentials", "gateway", "api", "hubs", "clock", "login", "contract", "market hub", "user hub")


def test_with_nothing_set_the_simulator_inside_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    checks = examine({})
    assert states(checks) == dict.fromkeys(ALL, "ok")
    assert "rxfeed run starts a simulator inside" in checks["credentials"].found
    assert "SIMULATED" in checks["gateway"].found
    assert "CON.F.US.MNQ.H26" in checks["contract"].found
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (10, "")


def test_a_gateway_where_all_is_well_and_the_second_session_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    checks = examine(HTTPS, outside=simulated, as_json=True)
    assert states(checks) == {**dict.fromkeys(ALL, "ok"), "session": "warning"}
    assert "RXFEED_USER and RXFEED_KEY" in checks["credentials"].found
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert [one["name"] for one in said["checks"]] == list(checks)


def test_without_login_no_session_is_opened() -> None:
    simulators: list[Simulator] = []

    def outside(simulation: Simulation) -> web.Application:
        simulators.append(Simulator(clock=simulation.clock))
        return simulators[0].app()

    checks = examine(HTTPS, outside=outside, login=False)
    assert states(checks) == {**dict.fromkeys(ALL[:5], "ok"), "login": "skipped"}
    assert not simulators[0].truth.connections


@pytest.mark.parametrize(
    ("fault", "found", "todo"),
    [("refuse", "Connection refused", "firewall"), ("distrust", "the certificate of", "a proxy that shows a certificate")],
)
def test_a_host_that_cannot_be_reached(fault: str, found: str, todo: str) -> None:
    checks = examine(HTTPS, outside=simulated, fault=fault)
    assert states(checks) == {
        "credentials": "ok", "session": "warning", "gateway": "ok", "api": "failed", "hubs": "failed", "clock": "skipped",
        "login": "skipped",
    }  # fmt: skip
    assert found in checks["api"].found
    assert todo in (checks["api"].todo or "")


def test_half_of_the_credentials_still_lets_the_hosts_be_looked_at() -> None:
    checks = examine({"RXFEED_USER": "me", "RXFEED_GATEWAY": f"https://{HOST}"}, outside=simulated)
    assert states(checks) == {
        "credentials": "failed", "gateway": "ok", "api": "ok", "hubs": "ok", "clock": "ok", "login": "skipped",
    }  # fmt: skip
    assert "RXFEED_KEY is not" in checks["credentials"].found


def test_a_file_of_credentials_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "me.toml"
    path.write_text('user = "simulator"\nkey = "simulator"\n')
    path.chmod(0o644)
    environ = {"RXFEED_CREDENTIALS": str(path), "RXFEED_GATEWAY": f"https://{HOST}"}
    checks = examine(environ, outside=simulated, login=False)
    assert checks["credentials"].state == "failed"
    assert "mode 644" in checks["credentials"].found
    path.chmod(0o600)
    checks = examine(environ, outside=simulated, login=False)
    assert checks["credentials"].found == f"RXFEED_CREDENTIALS: {path} (mode 600)"


@pytest.mark.parametrize("gateway", ["nonsense", "http://example.com"])
def test_a_gateway_that_is_none(gateway: str) -> None:
    checks = examine({"RXFEED_GATEWAY": gateway})
    assert states(checks)["gateway"] == "failed"
    assert "topstepx, demo or an address" in (checks["gateway"].todo or "")


def test_a_real_gateway_without_credentials() -> None:
    assert states(examine({"RXFEED_GATEWAY": f"https://{HOST}"}, outside=simulated))["gateway"] == "failed"


def test_a_login_that_is_refused_is_not_tried_again() -> None:
    checks = examine(HTTPS | {"RXFEED_KEY": "wrong"}, outside=simulated)
    assert list(checks)[-1] == "login"
    assert checks["login"].state == "failed"
    assert "check the user and the key" in (checks["login"].todo or "")


def test_a_contract_that_is_not_there_leaves_the_user_hub_to_look_at() -> None:
    checks = examine(HTTPS, outside=simulated, symbol="FOO")
    assert (checks["login"].state, checks["contract"].state, checks["user hub"].state) == ("ok", "failed", "ok")
    assert "market hub" not in checks


def test_hubs_that_do_not_answer_or_say_nothing() -> None:
    def silent(simulation: Simulation) -> web.Application:
        simulator = Simulator(rate=0, clock=simulation.clock)
        simulator.subscribe = lambda *_: ()  # type: ignore[method-assign]
        return simulator.app()

    checks = examine(HTTPS, outside=silent)
    assert checks["market hub"].state == "warning"
    assert "nothing came in 5 s, though the market should be open" in checks["market hub"].found
    checks = examine(HTTPS, outside=silent, start="2026-01-10T12:00Z")
    assert checks["market hub"].state == "ok"
    assert "CME is closed and opens at 2026-01-11" in checks["market hub"].found

    def hubless(simulation: Simulation) -> web.Application:
        inner = Simulator(clock=simulation.clock)
        enter = inner.enter

        def deaf(request: object, hub: str) -> object:
            ticket = enter(request, hub)  # type: ignore[arg-type]
            inner.tokens.revoke(ticket.token, inner.now)  # type: ignore[union-attr]
            return ticket

        inner.enter = deaf  # type: ignore[assignment]
        return inner.app()

    checks = examine(HTTPS, outside=hubless)
    assert checks["user hub"].state == "failed"


@pytest.mark.parametrize(
    ("ours", "state", "says"),
    [
        (100.4, "ok", "agrees"), (101.9, "ok", "agrees"), (99.0, "ok", "agrees"),
        (98.0, "warning", "1.9 s behind"), (90.0, "failed", "9.9 s behind the server's: every trade would be rejected"),
        (105.0, "warning", "4.0 s ahead"),
    ],
)  # fmt: skip
def test_the_clock_is_judged_by_a_time_that_tells_whole_seconds(ours: float, state: str, says: str) -> None:
    began = round(ours * SECOND)
    check = look_at_clock(began, Answer(200, b"", None, 100), began + SECOND // 10)
    assert (check.state, says in check.found) == (state, True), check


def test_the_command_itself(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RXFEED_KEY", "RXFEED_CREDENTIALS", "RXFEED_GATEWAY", "PROJECT_X_USERNAME", "PROJECT_X_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RXFEED_USER", "me")
    monkeypatch.setenv("RXFEED_GATEWAY", "http://127.0.0.1:1")
    ran = cli("doctor", "--json")
    assert ran.code == 1
    assert ran.json["ok"] is False
    monkeypatch.delenv("RXFEED_USER")
    monkeypatch.delenv("RXFEED_GATEWAY")
    ran = cli("doctor")
    assert (ran.code, ran.err) == (0, "")
