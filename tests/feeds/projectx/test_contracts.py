"""What contracts are called, and which one is meant; and accounts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.errors import FeedError, GatewayRefused, ProtocolError, UnknownContract
from rxfeed.feeds.projectx.contracts import Contract, Contracts
from rxfeed.feeds.projectx.symbols import MONTHS, Wanted, expiry_of, meanings, root_of, symbol_of
from tests.feeds.projectx.gateway import Gateway, World, asking
from tests.feeds.projectx.test_rest import log  # noqa: F401


def row(id: str, name: str, *, active: bool = False, tick: Any = 0.25, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "name": name,
        "description": f"about {name}",
        "tickSize": tick,
        "tickValue": 0.5,
        "activeContract": active,
        **more,
    }


MARKET = [
    row("CON.F.US.ENQ.H26", "NQH6"), row("CON.F.US.ENQ.Z25", "NQZ5", active=True), row("CON.F.US.ENQ.M26", "NQM6"),
    row("CON.F.US.MNQ.Z25", "MNQZ5", active=True), row("CON.F.US.MNQ.H26", "MNQH6"),
    row("CON.F.US.MES.Z25", "MESZ5", active=True), row("CON.F.US.EP.Z25", "ESZ5", active=True),
    row("CON.F.US.GCE.G26", "GCG6", active=True, tick=0.1), row("CON.F.US.TYA.Z25", "ZNZ5", active=True, tick=0.015625),
    row("CON.F.US.M2K.Z25", "M2KZ5", active=True, tick=0.1), row("CON.F.US.EU6.Z25", "6EZ5", active=True, tick=0.00005),
    row("CON.F.US.SIE.H26", "SIH6"),
]  # fmt: skip
UNLISTED = [row("CON.F.US.MNQ.M26", "MNQM6"), row("CON.F.US.MNQ.U24", "MNQU4")]


def search(body: dict[str, Any]) -> dict[str, Any]:
    """As the gateway does: part of the name."""
    return {"contracts": [one for one in MARKET if body["searchText"] in one["name"]]}


def by_id(body: dict[str, Any]) -> dict[str, Any]:
    found = [one for one in MARKET + UNLISTED if one["id"] == body["contractId"]]
    return {"contract": found[0]} if found else {"success": False, "errorCode": 1, "contract": None}


def gateway(**more: Any) -> Gateway:
    script = {"Contract/search": search, "Contract/searchById": by_id, "Contract/available": {"contracts": MARKET}}
    return Gateway({**script, **more})


def resolved(text: str, given: Gateway | None = None) -> Any:
    async def use(world: World) -> Any:
        try:
            return await Contracts(world.login).resolve(text)
        except FeedError as error:
            return error

    return asking(given or gateway(), use)


def found(given: Gateway, what: str, *more: Any) -> Any:
    async def use(world: World) -> Any:
        try:
            return await getattr(Contracts(world.login), what)(*more)
        except FeedError as error:
            return error

    return asking(given, use)


@pytest.mark.parametrize(
    ("id", "symbol", "root", "expiry"),
    [
        ("CON.F.US.MNQ.Z26", "MNQZ26", "MNQ", (26, 12)),
        ("CON.F.US.ENQ.H25", "NQH25", "NQ", (25, 3)),
        ("CON.F.US.EP.M26", "ESM26", "ES", (26, 6)),
        ("CON.F.US.GCE.G26", "GCG26", "GC", (26, 2)),
        ("CON.F.US.CLE.F26", "CLF26", "CL", (26, 1)),
        ("CON.F.US.M2K.Z25", "M2KZ25", "M2K", (25, 12)),
        ("CON.F.US.MNQ.A26", "CON.F.US.MNQ.A26", "", (100, 0)),
        ("CON.F.US.MNQ.Z6", "CON.F.US.MNQ.Z6", "", (100, 0)),
        ("CON.X.US.MNQ.Z26", "CON.X.US.MNQ.Z26", "", (100, 0)),
        ("", "", "", (100, 0)),
    ],
)
def test_symbols_come_from_ids_alone(id: str, symbol: str, root: str, expiry: tuple[int, int]) -> None:
    assert (symbol_of(id), root_of(id), expiry_of(id)) == (symbol, root, expiry)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("MNQ", [Wanted("MNQ")]),
        ("/mnq", [Wanted("MNQ")]),
        ("MNQZ26", [Wanted("MNQ", "Z", "26"), Wanted("MNQZ26")]),
        ("mnqz6", [Wanted("MNQ", "Z", "6"), Wanted("MNQZ6")]),
        ("ENQ", [Wanted("NQ")]),
        ("ENQZ26", [Wanted("NQ", "Z", "26"), Wanted("ENQZ26")]),
        ("M2K", [Wanted("M2K")]),
        ("M2KZ5", [Wanted("M2K", "Z", "5"), Wanted("M2KZ5")]),
        ("6E", [Wanted("6E")]),
        ("6EZ25", [Wanted("6E", "Z", "25"), Wanted("6EZ25")]),
        ("Z6", [Wanted("Z6")]),
        ("123", []),
        ("", []),
        ("MNQ Z26", [Wanted("MNQ", "Z", "26"), Wanted("MNQZ26")]),
        ("M-NQ", []),
    ],
)
def test_what_a_text_may_mean(text: str, means: list[Wanted]) -> None:
    assert meanings(text) == means


@given(st.text(max_size=20))
def test_any_text_may_be_asked_for(text: str) -> None:
    assert all(meaning.root for meaning in meanings(text))


@given(st.from_regex(r"[A-Z]{1,3}", fullmatch=True), st.sampled_from(MONTHS), st.integers(0, 99))
def test_a_symbol_means_the_contract_that_it_comes_from(root: str, month: str, year: int) -> None:
    symbol = symbol_of(f"CON.F.US.{root}.{month}{year:02d}")
    first = meanings(symbol)[0]
    assert f"{first.root}{first.month}{first.year}" == symbol


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("MNQ", "CON.F.US.MNQ.Z25"),
        ("/mnq", "CON.F.US.MNQ.Z25"),
        ("NQ", "CON.F.US.ENQ.Z25"),
        ("ENQ", "CON.F.US.ENQ.Z25"),
        ("ES", "CON.F.US.EP.Z25"),
        ("EP", "CON.F.US.EP.Z25"),
        ("GC", "CON.F.US.GCE.G26"),
        ("ZN", "CON.F.US.TYA.Z25"),
        ("6E", "CON.F.US.EU6.Z25"),
        ("M2K", "CON.F.US.M2K.Z25"),
        ("M2KZ5", "CON.F.US.M2K.Z25"),
        ("MNQH6", "CON.F.US.MNQ.H26"),
        ("MNQH26", "CON.F.US.MNQ.H26"),
        ("NQM6", "CON.F.US.ENQ.M26"),
        ("ESZ25", "CON.F.US.EP.Z25"),
        ("CON.F.US.MNQ.H26", "CON.F.US.MNQ.H26"),
        ("con.f.us.mnq.h26", "CON.F.US.MNQ.H26"),
        # What a search leaves out is asked for by id.
        ("MNQM26", "CON.F.US.MNQ.M26"),
        ("MNQM6", "CON.F.US.MNQ.M26"),
        ("MNQU4", "CON.F.US.MNQ.U24"),
        ("CON.F.US.MNQ.U24", "CON.F.US.MNQ.U24"),
    ],
)
def test_resolve(text: str, id: str) -> None:
    contract = resolved(text)
    assert isinstance(contract, Contract)
    assert (contract.id, contract.symbol) == (id, symbol_of(id))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("MNX", "known are MNQZ25"),
        ("MNQX26", "known are MNQZ25, MNQH26"),
        ("CON.F.US.MNQ.X26", "known are MNQZ25, MNQH26"),
        ("SI", "known are CON.F.US.SIE.H26"),
        ("QQQQ", "nothing is called alike"),
        ("", "nothing is called alike"),
        ("what is this, please", "nothing is called alike"),
    ],
)
def test_what_is_unknown_is_one_line_with_what_is_like_it(text: str, hint: str) -> None:
    given = gateway()
    error = resolved(text, given)
    assert type(error) is UnknownContract
    start = f"no contract is called {text!r} at api.test; {hint.replace('CON.F.US.SIE.H26', 'SIEH26')}"
    assert str(error).startswith(start)
    assert "\n" not in str(error)
    assert error.permanent
    assert len(given.asked) <= 7


def test_a_long_text_is_cut() -> None:
    error = resolved("x" * 100)
    assert f"{'x' * 40}…" in str(error)
    assert len(str(error)) < 200


def test_of_several_active_contracts_the_first_to_expire() -> None:
    rows = [row(f"CON.F.US.MNQ.{tail}", f"MNQ{tail}", active=True) for tail in ("H26", "Z25", "M26")]
    assert resolved("MNQ", gateway(**{"Contract/search": {"contracts": rows}})).symbol == "MNQZ25"


def test_a_year_of_one_digit_is_of_an_active_contract_first() -> None:
    rows = [row("CON.F.US.MNQ.Z16", "MNQZ6"), row("CON.F.US.MNQ.Z26", "MNQZ6", active=True)]
    assert resolved("MNQZ6", gateway(**{"Contract/search": {"contracts": rows}})).symbol == "MNQZ26"


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ({"contracts": [MARKET[0]]}, 1),
        ({"contract": MARKET[0]}, 1),
        ({"contract": [MARKET[0]]}, 1),
        ({"contracts": MARKET[0]}, 1),
        ({"contracts": None}, 0),
        ({"contracts": []}, 0),
        ({}, 0),
        ({"contracts": [{"id": "CON.F.US.ENQ.H26", "tickSize": "0.25"}]}, 1),
    ],
)
def test_all_shapes_of_contracts(answer: Any, count: int) -> None:
    contracts = found(Gateway({"Contract/search": answer}), "search", "NQ")
    assert [(one.id, one.tick_size) for one in contracts] == [("CON.F.US.ENQ.H26", 0.25)] * count


def test_a_contract() -> None:
    given = gateway()
    assert found(given, "by_id", "CON.F.US.ENQ.Z25") == Contract(
        "CON.F.US.ENQ.Z25", "NQZ25", "NQZ5", "about NQZ5", 0.25, 0.5, True
    )
    assert found(gateway(), "by_id", "CON.F.US.ENQ.Z99") is None
    assert found(gateway(**{"Contract/searchById": 404}), "by_id", "CON.F.US.ENQ.Z99") is None
    assert type(found(gateway(**{"Contract/searchById": 403}), "by_id", "CON.F.US.ENQ.Z99")) is GatewayRefused
    assert found(gateway(**{"Contract/searchById": {"contract": MARKET[1]}}), "by_id", "CON.F.US.ENQ.H26") is None
    assert [one.name for one in found(gateway(), "available")] == [one["name"] for one in MARKET]
    assert given.asked[-1].body == {"contractId": "CON.F.US.ENQ.Z25"}


def test_one_bad_contract_costs_no_other(log: list[str]) -> None:  # noqa: F811
    rows = [{"id": "CON.F.US.EP.H26"}, MARKET[0], 7]
    contracts = found(Gateway({"Contract/search": {"contracts": rows}}), "search", "NQ")
    assert [one.symbol for one in contracts] == ["NQH26"]
    assert len(log) == 1
    assert log[0] == (
        "Contract/search: 2 of 3 elements are left out: element 0: Object missing required field `tickSize`; "
        "element 2: Expected `object`, got `int`"
    )


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([{"id": "CON.F.US.EP.H26"}], "Object missing required field `tickSize`"),
        ([row("CON.F.US.EP.H26", "ESH6", tick=0)], "tick size 0"),
        ([row("CON.F.US.EP.H26", "ESH6", tick=-1)], "tick size -1"),
        ([row("", "ESH6")], "id ''"),
    ],
)
def test_contracts_that_make_no_sense(rows: Any, text: str) -> None:
    error = found(Gateway({"Contract/search": {"contracts": rows}}), "search", "ES")
    assert type(error) is ProtocolError
    assert str(error).startswith("Contract/search answered ")
    assert text in str(error)
