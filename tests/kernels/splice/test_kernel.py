"""Splicing two connections of one feed: each rule of the kernel, by hand."""

from __future__ import annotations

import pytest

from rxfeed.kernels.splice import Splice
from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.times import SECOND
from tests.builders import T0

MS = SECOND // 1000


def tick(at: float, price: float = 100.0, symbol: str = "ES", size: int = 1) -> Tick:
    """A trade at so many seconds after T0."""
    return Tick(symbol, T0 + round(at * SECOND), price, size, 1)


def tape(start: float, end: float, step: float = 0.1, symbol: str = "ES") -> list[Tick]:
    """A trade each `step` seconds, with a price of its own."""
    return [tick(start + place * step, 100.0 + place, symbol) for place in range(round((end - start) / step))]


def spliced(symbols: str = "ES", slack: int = SECOND, capacity: int = 100_000) -> Splice:
    return Splice(symbols.split(), slack=slack, capacity=capacity)


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


# --- certainty by the trades


def test_old_passes_and_new_is_held_until_both_have_said_more_than_a_step_back() -> None:
    splice, trades = spliced(), tape(0, 3)
    assert splice.old(trades[:11]) == trades[:11]
    assert splice.new(trades[5:11]) == []
    assert splice.old(trades[11:16]) == trades[11:16]  # 0.5 s to 1.5 s: not more than a second
    assert splice.new(trades[11:16]) == []
    assert splice.pending == {"ES"}
    assert splice.new(trades[16:20]) == []  # new is ahead, but old has not said it
    assert splice.old(trades[16:17]) == trades[16:20]  # certain: what new has said already comes out
    assert (splice.pending, splice.cut("ES"), splice.done) == (frozenset(), "certain", False)


def joined() -> tuple[Splice, list[Tick]]:
    """New is three trades ahead."""
    splice, trades = spliced(), tape(0, 6)
    splice.new(trades[5:20])
    splice.old(trades[:17])
    assert splice.cut("ES") == "certain"
    return splice, trades


def test_whoever_is_first_is_followed_once_they_are_joined() -> None:
    splice, trades = joined()
    assert splice.new(trades[20:21]) == trades[20:21]
    assert splice.old(trades[17:25]) == trades[21:25]
    assert splice.new(trades[21:27]) == trades[25:27]
    assert splice.gaps() == []


def test_new_goes_on_when_old_is_closed_and_the_splice_is_done() -> None:
    splice, trades = joined()
    assert splice.old_lost() == []
    assert splice.done
    assert splice.new(trades[20:]) == trades[20:]
    assert splice.old(trades[17:30]) == []  # what still arrives of it
    assert splice.gaps() == []


def test_what_new_owes_when_old_is_closed_is_skipped_before_the_splice_is_done() -> None:
    splice, trades = joined()
    assert splice.old(trades[17:30]) == trades[20:30]
    splice.old_lost()
    assert not splice.done
    assert splice.new(trades[20:29]) == []
    assert not splice.done
    assert splice.new(trades[29:31]) == trades[30:31]
    assert splice.done


def test_new_owes_nothing_any_more_when_it_is_past_olds_last_trade_by_a_step_back() -> None:
    splice, trades = joined()
    splice.old(trades[17:30])
    splice.old_lost()
    late = [tick(3.9), tick(3.91)]
    assert splice.new(late[:1]) == late[:1]  # 2.9 s was old's last: exactly a second
    assert not splice.done
    assert splice.new(late[1:]) == late[1:]
    assert splice.done


def test_old_goes_on_when_new_is_lost_after_they_were_joined() -> None:
    splice, trades = joined()
    splice.new_lost()
    assert not splice.done
    assert splice.old(trades[17:19]) == []
    assert splice.old(trades[19:22]) == trades[20:22]
    assert splice.done
    assert splice.aborted
    assert splice.new(trades[20:30]) == []
    assert splice.old(trades[22:]) == trades[22:]


def test_equal_prints_are_told_apart_by_what_is_around_them() -> None:
    splice = spliced(slack=0)
    same = [tick(1) for _ in range(7)]
    after = [tick(2), tick(2), tick(3)]
    splice.old([tick(0), *same])
    assert splice.new(same[4:]) == []  # three of seven, but which?
    assert splice.old(after[:1]) == after[:1]
    assert splice.new(after) == [after[1], after[2]]
    assert splice.old(after[1:]) == []


def test_the_largest_step_back_that_is_seen_is_the_one_to_expect() -> None:
    splice = spliced()
    splice.old([tick(0), tick(3), tick(0.5)])
    assert splice.slack == round(2.5 * SECOND)
    trades = tape(3, 8)
    splice.old(trades)
    assert splice.new(trades[:26]) == []
    assert splice.pending
    splice.new(trades[26:27])
    assert not splice.pending


def test_a_step_back_seen_after_a_stretch_was_long_enough_makes_it_too_short() -> None:
    splice, trades = spliced(), tape(0, 3)
    splice.new(trades[:13])
    splice.old(trades[:9])
    splice.new([tick(0, symbol="NQ")])  # of a contract that nobody asked for
    splice.add("NQ")
    splice.old([tick(9, symbol="NQ"), tick(7.5, symbol="NQ")])
    splice.old(trades[9:13])
    assert "ES" in splice.pending
    splice.old(trades[13:16])
    splice.new(trades[13:17])
    assert splice.old(trades[16:17]) == trades[16:17]
    assert splice.cut("ES") == "certain"


def test_new_that_began_before_old_was_counted_is_found_later_on() -> None:
    splice, trades = spliced(), tape(0, 9)
    splice.new(trades[:10])  # old said the first five before the splice was made
    assert splice.old(trades[5:25]) == trades[5:25]
    assert splice.mismatched == {"ES"}
    splice.new(trades[10:30])
    splice.old(trades[25:50])
    assert splice.new(trades[30:60]) == trades[50:60]
    assert splice.mismatched == frozenset()
    assert splice.cut("ES") == "certain"
    assert splice.old(trades[50:61]) == trades[60:61]


def test_an_order_that_differs_once_only_costs_time() -> None:
    splice, trades = spliced(), tape(0, 9)
    swapped = [*trades[:3], trades[4], trades[3], *trades[5:]]
    out: list[Tick] = []
    for place in range(0, 90, 5):
        out += splice.old(trades[place : place + 5])
        out += splice.new(swapped[place + 1 : place + 6])
    assert out == trades
    assert splice.cut("ES") == "certain"


# --- certainty by answers


def test_a_quiet_contract_is_cut_by_completions() -> None:
    splice = spliced("ES NQ")
    assert splice.old_answered("ES") == []  # before new was subscribed it says nothing
    assert splice.cut("ES") is None
    splice.new_subscribed("ES")
    splice.new_subscribed("CL")  # not known: nothing
    assert splice.old_answered("ES") == []
    assert splice.cut("ES") == "certain"
    assert splice.pending == {"NQ"}
    trade = [tick(0)]
    assert splice.new(trade) == trade
    assert splice.old(trade) == []


def test_an_answer_says_nothing_before_new_is_subscribed() -> None:
    splice = spliced()
    splice.old_answered("ES", splice.mark())
    splice.old([tick(0)])
    assert splice.cut("ES") is None


def test_answers_count_after_a_search_began_anew() -> None:
    splice = spliced()
    splice.old([tick(0), tick(0.1)])
    splice.new([tick(0.1, 7.0)])  # which old never says
    splice.new_subscribed("ES")
    splice.old_answered("ES")
    assert splice.mismatched == {"ES"}
    assert splice.new([tick(3)]) == []
    splice.old([tick(3)])
    splice.old_answered("ES", splice.mark())
    assert splice.cut("ES") == "certain"


def test_what_new_said_first_comes_out_when_old_answers() -> None:
    splice, trades = spliced(), tape(0, 0.3)
    splice.new_subscribed("ES")
    assert splice.new(trades[:2]) == []
    assert splice.old_answered("ES") == trades[:2]
    assert splice.old(trades) == trades[2:]


def test_a_trade_of_old_before_the_answer_may_be_one_that_new_will_say() -> None:
    splice, trades = spliced(), tape(0, 0.5)
    splice.old(trades[:1])
    splice.new_subscribed("ES")
    splice.old_answered("ES")
    assert splice.pending
    # New says another one: so it began after.
    assert splice.new(trades[1:2]) == trades[1:2]
    assert splice.cut("ES") == "certain"


def test_an_equal_print_leaves_it_open_until_old_has_answered_again() -> None:
    splice = spliced()
    splice.old([tick(0)])
    splice.new_subscribed("ES")
    splice.old_answered("ES")
    assert splice.new([tick(0)]) == []  # the same one, or the next one
    mark = splice.mark()
    assert splice.pending
    assert splice.old_answered("ES", mark) == []  # old has said nothing more: it was the same
    assert splice.cut("ES") == "certain"
    assert splice.old([tick(0)]) == [tick(0)]


def test_an_answer_on_new_says_that_it_began_after() -> None:
    splice = spliced()
    splice.old([tick(0)])
    splice.new_subscribed("ES")
    splice.old_answered("ES")
    splice.new_answered("ES", splice.mark())
    assert splice.cut("ES") == "certain"
    assert splice.new([tick(0)]) == [tick(0)]


def test_an_answer_on_new_counts_only_what_old_had_said_when_it_was_asked() -> None:
    splice = spliced()
    splice.new_subscribed("ES")
    mark = splice.mark()
    splice.old([tick(0)])
    splice.old_answered("ES")
    splice.new_answered("ES", mark)
    assert splice.pending


def test_a_trade_that_is_older_than_olds_is_not_taken_for_a_new_one() -> None:
    splice = spliced()
    splice.old([tick(1)])
    splice.new_subscribed("ES")
    splice.old_answered("ES")
    assert splice.new([tick(0.9)]) == []
    assert splice.pending
    splice.old([tick(2), tick(1.8)])  # unless time has been seen to step back as much
    assert splice.pending


def test_new_that_said_what_old_never_did_is_looked_for_anew() -> None:
    splice = spliced()
    splice.add("NQ", at(0))
    new = [tick(0, symbol="NQ"), tick(1, symbol="NQ")]
    splice.new(new[:1])  # before old was subscribed to it
    splice.new_subscribed("NQ")
    assert splice.old_answered("NQ") == []
    assert "NQ" in splice.mismatched
    mark = splice.mark()
    splice.old_answered("NQ", mark)
    assert splice.cut("NQ") == "certain"
    assert splice.new(new[1:]) == new[1:]


# --- without certainty


def test_old_is_lost_before_new_has_said_anything() -> None:
    splice, trades = spliced(), tape(0, 3)
    splice.old(trades[:11])
    assert splice.old_lost() == []
    assert splice.cut("ES") == "uncertain"
    assert splice.gaps() == [Gap("ES", at(0), ONGOING, "overlap_uncertain")]
    assert splice.new(trades[9:11]) == []  # may be old's
    assert splice.gaps() == [Gap("ES", at(0), at(1.9), "overlap_uncertain")]
    assert splice.new(trades[11:12]) == trades[11:12]
    assert splice.gaps() == []


def test_old_is_lost_while_new_is_held() -> None:
    splice, trades = spliced(), tape(0, 3)
    splice.old(trades[:8])
    splice.new(trades[6:12])
    assert splice.old_lost() == trades[8:12]
    assert splice.gaps() == [Gap("ES", at(-0.3), at(1.6), "overlap_uncertain")]
    assert splice.new(trades[12:]) == trades[12:]
    assert splice.done


def test_old_is_lost_and_new_began_later() -> None:
    splice, trades = spliced(), tape(0, 3)
    splice.old(trades[:8])
    splice.new(trades[12:14])
    assert splice.old_lost() == trades[12:14]
    (gap,) = splice.gaps()
    assert gap.start <= trades[8].time
    assert trades[11].time <= gap.end


def test_old_is_lost_when_new_is_far_behind() -> None:
    splice, trades = spliced(slack=100 * SECOND), tape(0, 900)
    splice.new(trades[:3])
    splice.old(trades[:8_000])
    splice.old_lost()
    assert splice.new(trades[3:]) == trades[8_000:]


def test_a_gap_begins_where_the_hub_says_if_old_was_silent() -> None:
    splice = Splice(["ES", "NQ", "CL"], since={"ES": at(-100)})
    splice.new([tick(5, symbol="CL")])
    splice.old_lost()
    assert splice.gaps() == [
        Gap("ES", at(-101), ONGOING, "overlap_uncertain"),
        Gap("CL", at(4), at(6), "overlap_uncertain"),
    ]
    splice.new([tick(7, symbol="NQ")])  # nothing is known of its beginning
    assert splice.gaps() == [Gap("NQ", at(6), at(8), "overlap_uncertain")]


def test_a_gap_begins_with_the_first_trade_of_all_if_nothing_else_is_known() -> None:
    splice = spliced("ES NQ")
    splice.old([tick(3)])
    splice.old_lost()
    assert {gap.symbol: gap.start for gap in splice.gaps()} == {"ES": at(2), "NQ": at(2)}


def test_what_comes_from_before_the_gap_makes_it_longer() -> None:
    splice, trades = spliced(), tape(0, 4)
    splice.old(trades[20:25])
    splice.old_lost()
    assert splice.gaps() == [Gap("ES", at(1.4), ONGOING, "overlap_uncertain")]
    assert splice.new(trades[5:25]) == trades[5:20]  # old said them before it was counted, perhaps
    told = splice.gaps()
    assert told == [Gap("ES", at(1.4), at(2.4), "overlap_uncertain"), Gap("ES", at(0.5), at(1.4), "overlap_uncertain")]
    assert splice.new([tick(0.4)]) == [tick(0.4)]
    assert splice.gaps() == [Gap("ES", at(0.4), at(0.5), "overlap_uncertain")]


def test_so_it_is_where_old_said_nothing_that_was_counted() -> None:
    splice, trades = Splice(["ES"], since={"ES": at(2.4)}), tape(0, 4)
    splice.old_lost()
    assert splice.new(trades[5:]) == trades[5:]
    assert [(gap.start, gap.end) for gap in splice.gaps()] == [
        (at(1.4), ONGOING), (at(1.4), at(2.4)), (at(0.5), at(1.4)),
    ]  # fmt: skip
    assert splice.done


# --- new is lost, or given up


def test_what_new_said_is_kept_until_old_has_said_it() -> None:
    splice, trades = spliced(), tape(0, 3)
    splice.old(trades[:5])
    splice.new(trades[3:8])
    splice.new_lost()
    assert (splice.aborted, splice.done, splice.pending) == (True, False, {"ES"})
    assert splice.old(trades[5:7]) == trades[5:7]
    assert not splice.done
    assert splice.old(trades[7:8]) == trades[7:8]
    assert splice.done
    assert splice.old(trades[8:]) == trades[8:]
    assert splice.old_lost() == []
    assert splice.gaps() == []


def test_what_new_said_comes_out_if_old_is_lost_before_it_has_said_it() -> None:
    splice, trades = spliced(), tape(0, 3)
    splice.old(trades[:5])
    splice.new(trades[3:8])
    splice.abort()
    splice.old(trades[5:6])
    assert splice.old_lost() == trades[6:8]
    assert splice.cut("ES") == "uncertain"
    assert splice.gaps() == [Gap("ES", at(-0.5), at(1.3), "overlap_uncertain")]
    assert splice.done


def test_what_new_said_is_certain_even_then_if_both_said_enough() -> None:
    splice, trades = spliced(), tape(0, 3)
    splice.old(trades[:5])
    splice.new(trades[3:20])
    splice.new_lost()
    splice.old(trades[5:16])
    assert splice.old_lost() == trades[16:20]
    assert (splice.cut("ES"), splice.gaps()) == ("certain", [])


def test_what_is_kept_is_dropped_when_old_is_past_it() -> None:
    splice = spliced()
    splice.old([tick(0)])
    splice.new([tick(0.1)])
    splice.new_lost()
    splice.old([tick(1.1)])
    assert not splice.done
    splice.old([tick(1.11)])
    assert splice.done


def test_nothing_is_kept_of_a_new_that_said_nothing() -> None:
    splice = spliced()
    splice.new_lost()
    assert splice.done
    assert splice.old([tick(0)]) == [tick(0)]


def test_new_is_lost_after_old_was() -> None:
    splice, trades = spliced(), tape(0, 3)
    splice.old(trades)
    splice.old_lost()
    splice.new_lost()
    assert splice.done
    assert splice.old_lost() == []


def test_too_much_aborts_and_keeps_old() -> None:
    splice, trades = spliced(capacity=10), tape(0, 0.9)
    splice.old(trades[:5])
    assert splice.new([tick(20 + place) for place in range(9)]) == []
    assert not splice.overflowed  # none of old's are held: new's first is not among them
    assert splice.new([tick(40)]) == []
    assert splice.overflowed
    assert splice.aborted
    assert splice.done
    assert splice.old(trades[5:]) == trades[5:]
    assert splice.old_lost() == []


def test_trades_that_were_not_held_fill_nothing() -> None:
    splice, trades = spliced(capacity=30), tape(0, 30)
    for trade in trades:
        splice.old([trade])
        splice.new([trade])
    assert not splice.overflowed
    assert splice.cut("ES") == "certain"


def test_time_is_up() -> None:
    splice, trades = spliced("ES NQ"), tape(0, 3)
    splice.old(trades)
    splice.new(trades)
    splice.new([tick(0, symbol="NQ")])
    splice.old([tick(0.5, symbol="NQ")])
    assert splice.settle() == []
    assert splice.aborted
    assert splice.pending == splice.mismatched == {"NQ"}
    assert splice.old([tick(3)]) == [tick(3)]


def test_time_is_up_after_all_is_cut() -> None:
    splice, trades = joined()
    assert splice.settle() == []
    assert not splice.aborted
    assert splice.new(trades[20:]) == trades[20:]


# --- subscriptions


def test_a_contract_is_added_and_dropped() -> None:
    splice = spliced()
    splice.add("ES")  # again is nothing
    splice.add("NQ")
    assert splice.pending == {"ES", "NQ"}
    splice.drop("ES")
    splice.drop("ES")
    assert splice.pending == {"NQ"}
    assert splice.cut("ES") is None
    trade = [tick(0)]
    assert splice.new(trade) == []  # nobody's: old is followed
    assert splice.old(trade) == trade
    splice.old_lost()
    assert splice.new(trade) == trade
    splice.add("CL")  # too late for it to matter
    assert splice.pending == frozenset()


def test_contracts_do_not_touch_each_other() -> None:
    splice = spliced("ES NQ")
    es, nq = tape(0, 2), tape(0, 2, symbol="NQ")
    both = [trade for pair in zip(es, nq, strict=True) for trade in pair]
    assert splice.old(both) == both
    splice.new(es)
    assert splice.pending == {"NQ"}
    splice.new(nq)
    assert splice.pending == frozenset()


def test_splices_can_be_chained() -> None:
    first, second, trades = spliced(), spliced(), tape(0, 6)
    first.new(trades[3:9])
    first.old(trades[:6])
    first.new_lost()
    assert second.new(trades[8:20]) == []
    assert second.old(first.old(trades[6:7])) == trades[6:7]
    # Now old is lost: what the first new had said is old's too.
    out = second.old(first.old_lost())
    assert out == trades[7:9]
    assert second.old_lost() == trades[9:20]


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="slack must be at least 0, got -1"):
        spliced(slack=-1)
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        spliced(capacity=0)
