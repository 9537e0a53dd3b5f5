"""The kernel of `validate`: each rule and its reason, which comes first, jumps, and that rows and frames are judged alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed import rules
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.validate.frames import validate_frame
from rxfeed.kernels.validate.kernel import ValidateKernel
from rxfeed.model import UNKNOWN_TIME, Depth, DepthKind, Quote, Reject, Tick
from rxfeed.rules import Rule, RuleError
from rxfeed.times import SECOND
from tests.builders import HOUR, T0, frame, tick

NAN, INF = math.nan, math.inf
INSTRUMENTS = {
    "A": Instrument("A", tick_size=0.25),
    "B": Instrument("B", tick_size=0.1, may_be_negative=True, session="24x7"),
}


def judge(k: ValidateKernel, *elements: Any, quick: bool = True) -> list[Any]:
    """What passes, as the operator asks: the quick way first."""
    out: list[Any] = []
    for e in elements:
        if quick and type(e) is Tick and k.passes(e):
            out.append(e)
        else:
            out += k.element(e)
        balanced(k)
    return out


def balanced(k: ValidateKernel) -> None:
    s = k.stats
    assert s.received == s.emitted + s.rejected + s.pending
    assert s.rejected == sum(s.by_rule.values())


def said(k: ValidateKernel) -> list[tuple[str, str]]:
    return [(r.rule, r.reason) for r in k.take_rejects()]


def prices(*values: float, symbol: str = "A") -> list[Tick]:
    return [tick(i, float(value), seq=i, symbol=symbol) for i, value in enumerate(values)]


# --- every rule and its reason

Q, D, LEVEL = Quote("A", T0), Depth("A", T0, DepthKind.LEVEL, price=1.0), DepthKind.LEVEL
YEAR_1 = "time is unknown: year 1, or outside of what int64 nanoseconds hold (1677 to 2262)"
FAILS: list[tuple[Rule, Any, str]] = [
    (rules.KnownTime(), Tick("A", UNKNOWN_TIME, 1.0, 1), YEAR_1),
    (rules.Finite(), tick(0, NAN), "price must be finite, got nan"),
    (rules.Finite(), tick(0, -INF), "price must be finite, got -inf"),
    (rules.Finite(), Quote("A", T0, bid=1.0, ask=INF), "price must be finite, got inf"),
    (rules.Finite(), Quote("A", T0, last=NAN), "price must be finite, got nan"),
    (rules.Finite(), Depth("A", T0, LEVEL, price=NAN), "price must be finite, got nan"),
    (rules.Positive(), tick(0, 0.0), "price must be more than 0, got 0.0"),
    (rules.Positive(), tick(0, -1.0), "price must be more than 0, got -1.0"),
    (rules.Positive(), Quote("A", T0, bid=-2.0), "price must be more than 0, got -2.0"),
    (rules.OnGrid(), tick(0, 100.1), "price must be a multiple of 0.25, got 100.1"),
    (rules.OnGrid(), Depth("A", T0, LEVEL, price=0.3), "price must be a multiple of 0.25, got 0.3"),
    (rules.Size(), tick(0, size=0), "size must be from 1 to 1000000000000 lots, got 0"),
    (rules.Size(2, 5), tick(0, size=6), "size must be from 2 to 5 lots, got 6"),
    (rules.Size(2, 5), Quote("A", T0, ask_size=-1), "size must be from 0 to 5 lots, got -1"),
    (rules.Size(2, 5), Depth("A", T0, LEVEL, price=1.0, size=9), "size must be from 0 to 5 lots, got 9"),
    (rules.Crossed(), Quote("A", T0, bid=2.0, ask=1.5), "bid must not be above ask, got bid 2.0 and ask 1.5"),
    (rules.Empty(), Q, "quote must say something, got no field at all"),
    (rules.Empty(), Depth("A", T0, LEVEL), "a level must have a price, got None"),
    (
        rules.Future("2s"), tick(5, received=T0 + 2 * SECOND),
        "time must be at most 2 s after received, got 2025-03-10T10:00:05Z, 3 s after",
    ),
    (
        rules.Stale("1s"), tick(0.5, received=T0 + 2 * SECOND),
        "time must be at most 1 s before received, got 2025-03-10T10:00:00.5Z, 1.5 s before",
    ),
    (rules.OutsideSession("CME"), tick(11.5 * 3600), "the market (CME) was closed at "),
    (rules.where("odd", lambda t: t.seq % 2 == 1), tick(0), "odd must hold, got Tick(symbol='A'"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "element", "reason"), FAILS, ids=lambda v: v.name if isinstance(v, Rule) else "")
def test_each_rule_says_why(rule: Rule, element: Any, reason: str) -> None:
    k = ValidateKernel([rule], INSTRUMENTS)
    assert judge(k, element) == []
    (reject,) = k.take_rejects()
    assert (reject.element, reject.rule) == (element, rule.name)
    assert reject.reason.startswith(reason)
    assert reject.reason == reason or reason.endswith(("at ", "'A'"))
    assert k.stats == (1, 0, 1, 0, {rule.name: 1})
    other = ValidateKernel([rule], INSTRUMENTS)
    assert validate_frame(other, Frame.of([element])) is None
    assert [r.reason for r in other.take_rejects()] == [reject.reason]


@pytest.mark.parametrize(
    ("rule", "element"),
    [
        (rules.KnownTime(), Tick("A", UNKNOWN_TIME + 1, 1.0, 1)),
        (rules.Finite(), Q),
        (rules.Positive(), tick(0, -5.0, symbol="B")),
        (rules.Positive(), tick(0, 5e-324)),
        (rules.OnGrid(), tick(0, 100.1, symbol="C")),
        (rules.OnGrid(), tick(0, 0.1 + 0.2, symbol="B")),
        (rules.Size(), Depth("A", T0, LEVEL, price=1.0, size=0)),
        (rules.Size(3, 3), tick(0, size=3)),
        (rules.Crossed(), Quote("A", T0, bid=1.0, ask=1.0)),
        (rules.Empty(), Quote("A", T0, volume=0)),
        (rules.Empty(), Depth("A", T0, DepthKind.RESET)),
        (rules.Future(2), tick(5, received=T0 + 3 * SECOND)),
        (rules.Future(0), tick(5)),
        (rules.Stale(0), tick(5)),
        (rules.Stale(1), tick(1, received=T0 + 2 * SECOND)),
        (rules.OutsideSession("CME"), tick(11.5 * 3600, symbol="B")),
        (rules.OutsideSession("CME"), tick(0)),
        (rules.GoingBack(), tick(0)),
        (rules.Jump(), tick(0, 1e9)),
    ],
)
def test_what_each_rule_lets_pass(rule: Rule, element: Any) -> None:
    given_ = {s: i for s, i in INSTRUMENTS.items() if not (rule.name == "jump" and s == "B")}
    k = ValidateKernel([rule], given_)
    assert judge(k, element) == [element]
    passed = validate_frame(ValidateKernel([rule], given_), Frame.of([element]))
    assert passed is not None
    assert passed.rows() == [element]


def test_the_first_rule_that_fails_names_the_reason() -> None:
    def never(t: Tick) -> bool:
        return False

    session = rules.OutsideSession("CME")
    every: list[Rule] = [
        rules.Jump(ticks=4), rules.GoingBack(), rules.where("mine", never), session, rules.Stale("1s"), rules.Future("1s"),
        rules.Empty(), rules.Crossed(), rules.Size(), rules.OnGrid(), rules.Positive(), rules.Finite(), rules.KnownTime(),
    ]  # fmt: skip
    closed = T0 + 11 * HOUR + HOUR // 2
    cases = [
        (Tick("A", UNKNOWN_TIME, NAN, 0, received=closed), "known_time"),
        (Tick("A", closed, NAN, 0, received=closed - HOUR), "finite"),
        (Tick("A", closed, -0.1, 0, received=closed - HOUR), "positive"),
        (Tick("A", closed, 0.1, 0, received=closed - HOUR), "on_grid"),
        (Tick("A", closed, 0.25, 0, received=closed - HOUR), "size"),
        (Tick("A", closed, 0.25, 1, received=closed - HOUR), "future"),
        (Tick("A", closed, 0.25, 1, received=closed + HOUR), "stale"),
        (Tick("A", closed, 0.25, 1), "outside_session"),
        (Tick("A", T0, 0.25, 1), "mine"),
        (Quote("A", T0, bid=2.0, ask=1.0, bid_size=-1), "size"),
        (Quote("A", closed, bid=2.0, ask=1.0), "crossed"),
        (Quote("A", closed), "empty"),
    ]
    k = ValidateKernel(every, INSTRUMENTS)
    judge(k, *(e for e, _ in cases))
    assert [rule for rule, _ in said(k)] == [name for _, name in cases]
    framed = ValidateKernel(every, INSTRUMENTS)
    assert validate_frame(framed, frame([e for e, _ in cases if isinstance(e, Tick)])) is None
    assert [r.rule for r in framed.take_rejects()] == [name for e, name in cases if isinstance(e, Tick)]
    assert k.stats.by_rule == {**dict.fromkeys((n for _, n in cases), 1), "size": 2}


def low(t: Tick) -> bool:
    return t.price < 500


def even(t: Tick) -> bool:
    return t.size % 2 == 0


def test_going_back_comes_before_jump_and_after_one_s_own() -> None:
    k = ValidateKernel([rules.Jump(), rules.GoingBack(), rules.where("low", low)])
    judge(k, tick(5, 100), tick(4, 200, seq=1), tick(3, 600, seq=2), tick(6, 200, seq=3))
    assert said(k) == [
        ("going_back", "time must not go back, got 2025-03-10T10:00:04Z after 2025-03-10T10:00:05Z"),
        ("low", f"low must hold, got {tick(3, 600, seq=2)}"),
    ]
    assert k.stats.pending == 1


# --- jumps


@pytest.mark.parametrize("way", ["rows", "frames"])
@pytest.mark.parametrize(
    ("given_", "passed", "rejected", "pending"),
    [
        # Confirmed by three: released in order.
        ((100, 150, 151, 152, 153), (100, 150, 151, 152, 153), (), 0),
        # Held until then.
        ((100, 150, 151), (100,), (), 2),
        # The old level trades on.
        ((100, 150, 151, 101), (100, 101), (150, 151), 0),
        # Near both: the market walked there. 109 is no jump from 100, and 115 none from it.
        ((100, 115, 109, 119), (100, 115, 109, 119), (), 0),
        # Another suspect takes the place of the first.
        ((100, 150, 200, 201, 202), (100, 200, 201, 202), (150,), 0),
        # Exactly at the limit is no jump.
        ((100, 110, 99), (100, 110, 99), (), 0),
        ((100, 89.75, 100), (100, 100), (89.75,), 0),
    ],
)
def test_jumps(given_: Any, passed: Any, rejected: Any, pending: int, way: str) -> None:
    k = ValidateKernel([rules.Jump()])
    rows = prices(*given_)
    if way == "rows":
        out = judge(k, *rows)
    else:
        found = validate_frame(k, frame(rows))
        out = [] if found is None else found.rows()
    assert [t.price for t in out] == list(passed)
    rejects = k.take_rejects()
    assert [r.element.price for r in rejects if isinstance(r.element, Tick)] == list(rejected)
    assert k.stats.pending == pending
    balanced(k)
    if rejected == (150, 151):
        assert rejects[0].reason == (
            "price 150.0 is more than 10 % from the last accepted one, 100.0; the market was at 100.0 before and 101.0 after"
        )


def test_finish_rejects_what_waits() -> None:
    k = ValidateKernel([rules.Jump(ticks=8)], INSTRUMENTS)
    judge(k, *prices(100, 150, 151), *prices(1, 9, symbol="B"))
    assert k.stats.pending == 3
    k.finish()
    assert k.stats == (5, 2, 3, 0, {"jump": 3})
    assert [reason for _, reason in said(k)] == [
        f"price {p} is more than {d} from the last accepted one, {last}; the stream ended before it was confirmed"
        for p, d, last in ((150.0, "2.000000002", 100.0), (151.0, "2.000000002", 100.0), (9.0, "0.8000000008", 1.0))
    ]
    k.finish()
    assert k.take_rejects() == []


@pytest.mark.parametrize("confirm", [1, 2, 3, 7])
def test_at_most_confirm_wait(confirm: int) -> None:
    k = ValidateKernel([rules.Jump(confirm=confirm)])
    out = judge(k, *prices(100))
    for n, t in enumerate(prices(*([200.0] * confirm)), 1):
        out += judge(k, t)
        assert k.stats.pending == (n if n < confirm else 0)
    assert len(out) == 1 + confirm
    # Prices that never settle do not pile up either.
    for t in prices(*(float(1 << i) for i in range(8, 40))):
        judge(k, t)
        assert k.stats.pending <= confirm


def test_suspects_of_one_symbol_do_not_hold_another() -> None:
    k = ValidateKernel([rules.Jump()])
    out = judge(k, *prices(100), *prices(50, symbol="B"), *prices(150), *prices(51, symbol="B"))
    assert [(t.symbol, t.price) for t in out] == [("A", 100), ("B", 50), ("B", 51)]


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_what_may_be_negative_jumps_in_ticks(way: str) -> None:
    k = ValidateKernel([rules.Positive(), rules.Jump(ticks=10)], INSTRUMENTS)
    rows = prices(0.5, -0.5, -1.5, -2.6, -1.4, symbol="B")
    if way == "rows":
        out = judge(k, *rows)
    else:
        found = validate_frame(k, frame(rows))
        assert found is not None
        out = found.rows()
    assert [t.price for t in out] == [0.5, -0.5, -1.5, -1.4]
    assert k.stats.by_rule == {"jump": 1}


def test_rules_that_do_not_fit() -> None:
    with pytest.raises(RuleError, match="a rule may be given once, got 'size' 2 times"):
        ValidateKernel([rules.Size(), rules.Size(2)])
    for jump in (rules.Jump(), rules.Jump(ticks=3)):
        with pytest.raises(RuleError, match="CL"):
            ValidateKernel([jump], {"CL": Instrument("CL", may_be_negative=True)})
    ValidateKernel([rules.Size()], {"CL": Instrument("CL", may_be_negative=True)})
    with pytest.raises(ValueError, match="jump fraction must be more than 0 and at most 1, got 0"):
        rules.Jump(0)
    with pytest.raises(ValueError, match="jump ticks must be at least 1, got 0"):
        rules.Jump(ticks=0)
    with pytest.raises(ValueError, match="jump confirm must be at least 1, got 0"):
        rules.Jump(confirm=0)
    with pytest.raises(ValueError, match="size must be a range from 0 up, got least 5 and most 4"):
        rules.Size(5, 4)
    with pytest.raises(ValueError, match="name must not be one of the built-in rules, got 'jump'"):
        rules.where("jump", bool)
    with pytest.raises(ValueError, match="stale must look like"):
        rules.Stale("soon")


def test_a_rule_of_one_s_own() -> None:
    @dataclass(frozen=True)
    class Round(Rule):
        name = "round"

        def reason(self, element: Any, instrument: Instrument | None) -> str | None:
            unit = 1.0 if instrument is None or instrument.tick_size is None else instrument.tick_size * 4
            return None if element.price % unit == 0 else f"price must be whole in {unit}, got {element.price}"

    rows = [
        tick(i, p, seq=i, symbol=s) for i, (s, p) in enumerate([("A", 3.0), ("C", 2.5), ("A", 3.25), ("B", 0.4), ("C", 7.0)])
    ]
    k, framed = (ValidateKernel([Round(), rules.Finite()], INSTRUMENTS) for _ in range(2))
    assert judge(k, *rows) == [rows[0], rows[3], rows[4]]
    passed = validate_frame(framed, frame(rows))
    assert passed is not None
    assert passed.rows() == [rows[0], rows[3], rows[4]]
    reasons = [("round", "price must be whole in 1.0, got 2.5"), ("round", "price must be whole in 1.0, got 3.25")]
    assert said(framed) == reasons
    assert said(k) == reasons
    with pytest.raises(NotImplementedError, match="Rule must say how it judges an element"):
        Rule().reason(rows[0], None)


def test_rejects_are_heard_once_and_may_be_put_back() -> None:
    k = ValidateKernel([rules.Finite()])
    judge(k, *prices(NAN, 1.0, INF))
    heard = k.take_rejects()
    assert [r.reason for r in heard] == ["price must be finite, got nan", "price must be finite, got inf"]
    assert k.take_rejects() == []
    k.put_back(heard[:1])
    assert [type(r) for r in k.take_rejects()] == [Reject]


# --- rows and frames

OWN = rules.where("even", even)
OWN_FAST = rules.where("even", even, pl.col("size") % 2 == 0)
CHOICE: list[Rule] = [
    rules.KnownTime(), rules.Finite(), rules.Positive(), rules.OnGrid(), rules.Size(1, 6), rules.Future("1s"),
    rules.Stale("2s"), rules.OutsideSession("CME"), rules.GoingBack(), rules.Crossed(), rules.Empty(),
]  # fmt: skip
JUMPS = [None, rules.Jump(ticks=4), rules.Jump(0.1, ticks=40, confirm=2), rules.Jump(ticks=400, confirm=1)]
PRICES = st.one_of(
    st.sampled_from([100.0, 100.25, 100.5, 101.0, 101.25, 110.0, 110.25, 130.0, 130.25, 0.0, -1.0, -1.25, 0.25, 99.75]),
    st.sampled_from([NAN, INF, -INF, 100.1, 1e300, 5e-324, 0.1 + 0.2, 1e-9]),
)
TICKS = st.lists(
    st.builds(
        lambda symbol, at, price, size, received, seq: Tick(
            symbol, at, price, size, 0, seq, None if received is None else max(at, T0) + received * SECOND // 2
        ),
        st.sampled_from("ABC"),
        st.one_of(
            st.integers(0, 5).map(lambda n: T0 + n * SECOND),
            st.sampled_from([UNKNOWN_TIME, UNKNOWN_TIME + 1, T0 + 11 * HOUR + HOUR // 2, T0]),
        ),
        PRICES,
        st.integers(0, 8),
        st.one_of(st.none(), st.integers(-5, 6)),
        st.integers(0, 99),
    ),
    max_size=30,
)


@settings(max_examples=400)
@given(
    TICKS, st.sets(st.integers(0, len(CHOICE) - 1)), st.sampled_from(JUMPS), st.sampled_from([None, OWN, OWN_FAST]),
    st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=8),
)  # fmt: skip
def test_rows_and_frames_are_judged_alike(
    rows: list[Tick], chosen: set[int], jump: Any, own: Any, cuts: list[tuple[bool, int]]
) -> None:
    # Without `finite` there may be no infinite price: see below.
    if not all(math.isfinite(t.price) for t in rows):
        chosen = chosen | {1}
    wanted = [CHOICE[i] for i in chosen] + [r for r in (jump, own) if r is not None]
    plain, quick, framed = (ValidateKernel(wanted, INSTRUMENTS) for _ in range(3))
    expected = judge(plain, *rows, quick=False)
    plain.finish()
    passed = judge(quick, *rows)
    quick.finish()
    assert repr(passed) == repr(expected)  # NaN is not equal to itself
    out: list[Any] = []
    left, turn = rows, 0
    while left:
        as_rows, size = cuts[turn % len(cuts)]
        if as_rows:
            out += judge(framed, *left[:size])
        else:
            found = validate_frame(framed, frame(left[:size]))
            out += [] if found is None else found.rows()
            assert found is None or len(found)
        balanced(framed)
        left, turn = left[size:], turn + 1
    framed.finish()
    assert repr(out) == repr(expected)
    assert plain.stats == quick.stats == framed.stats
    assert plain.stats.received == len(rows)
    heard = [repr(k.take_rejects()) for k in (plain, quick, framed)]
    assert heard[0] == heard[1] == heard[2]


@pytest.mark.parametrize("price", [INF, -INF, NAN])
def test_prices_that_are_not_finite_where_they_need_not_be(price: float) -> None:
    for jump in (rules.Jump(), rules.Jump(ticks=4)):
        rows = prices(100, price, 101, symbol="A") + prices(price, 100, symbol="C")
        plain, framed = (ValidateKernel([jump], INSTRUMENTS if jump.ticks else None) for _ in range(2))
        expected = judge(plain, *rows)
        out: list[Any] = []
        for row in rows:
            found = validate_frame(framed, frame([row]))
            out += [] if found is None else found.rows()
        assert repr(out) == repr(expected)
        assert plain.stats == framed.stats


NUMBERS = st.one_of(st.none(), st.sampled_from([1.0, 1.25, 2.0, 0.3, NAN, -1.0]))
QUOTES = st.builds(
    Quote, st.sampled_from("AB"), st.sampled_from([T0, UNKNOWN_TIME]), NUMBERS, NUMBERS,
    st.one_of(st.none(), st.integers(-1, 3)), st.none(), NUMBERS, st.none(), st.integers(0, 9),
    st.sampled_from([None, T0, T0 - 9 * SECOND]),
)  # fmt: skip
DEPTHS = st.builds(
    Depth, st.sampled_from("AB"), st.just(T0), st.sampled_from([1, 2]), st.just(1), NUMBERS, st.integers(-1, 3),
    st.just(0), st.integers(0, 9), st.sampled_from([None, T0, T0 - 9 * SECOND]),
)  # fmt: skip


@settings(max_examples=60)
@given(st.one_of(st.lists(QUOTES, min_size=1), st.lists(DEPTHS, min_size=1)), st.integers(1, 5))
def test_quotes_and_depth_too(rows: list[Any], size: int) -> None:
    given_ = {"A": INSTRUMENTS["A"]}
    plain, framed = ValidateKernel(instruments=given_), ValidateKernel(instruments=given_)
    expected = judge(plain, *rows)
    out: list[Any] = []
    for at in range(0, len(rows), size):
        found = validate_frame(framed, Frame.of(rows[at : at + size]))
        out += [] if found is None else found.rows()
        balanced(framed)
    assert repr(out) == repr(expected)
    assert plain.stats == framed.stats
    assert repr(plain.take_rejects()) == repr(framed.take_rejects())
