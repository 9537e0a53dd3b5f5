"""What every public operator keeps about its life: how it begins, how it ends, and what it lets go of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reactivex import abc

from .specimen import Lane, Specimen
from .stage import (
    END,
    Source,
    Stage,
    Step,
    Subscription,
    Witness,
    assert_one_end,
    fall,
    stage,
    steps_of,
    undisturbed,
)


def grammar(specimen: Specimen, lane: Lane) -> None:
    """Elements, then at most one end, and then nothing, whatever the source does."""
    steps = steps_of(specimen, lane)
    again = steps[-1]
    endings: list[list[Step]] = [
        [END, END], [END, again, END], [END, fall()], [fall(), again, END], [fall(), fall()], [fall(), END, again],
    ]  # fmt: skip
    for ending in endings:
        # A rude source calls the operator itself. A naked witness hears what the operator says after its end, which
        # reactivex would keep from it: a loss in silence.
        for rude, naked in ((True, False), (False, True)):
            when = f"{'a rude' if rude else 'a'} source that takes the steps {', '.join(kind for kind, _ in ending)}"
            with stage(specimen, lane, rude=rude) as on:
                witness = on.subscribe(naked=naked)
                on.do(*steps, *ending)
                on.later()
                assert_one_end(witness, when)
                assert witness.ended, f"{when}: no end came"


def disposal(specimen: Specimen, lane: Lane) -> None:
    """Disposed of at any point, it lets go of its source and its timers, and is silent."""
    steps = steps_of(specimen, lane)
    for count in range(len(steps) + 1):
        when = f"disposed of after {count} elements"
        with stage(specimen, lane) as on:
            witness = on.subscribe()
            on.do(*steps[:count])
            seen = len(witness.steps)
            on.dispose(witness)
            on.dispose(witness)
            on.assert_released(when)
            on.do(*steps[count:], END)
            on.later()
            assert len(witness.steps) == seen, f"{when}: still emits {witness.brief[seen:]}"
    for ending in (END, fall()):
        with stage(specimen, lane) as on:
            witness = on.subscribe()
            on.do(*steps, ending)
            assert witness.ended
            on.assert_released(f"after {ending[0]}")
    for count in range(len(undisturbed(specimen, lane, [*steps, END]).elements)):
        _leave(specimen, lane, steps, count)


def _leave(specimen: Specimen, lane: Lane, steps: Sequence[Step], count: int) -> None:
    when = f"disposed of inside on_next, at output {count}"
    with stage(specimen, lane) as on:

        def react(step: Step) -> None:
            if step[0] == "next" and len(witness.elements) == count + 1:
                witness.subscription.dispose()

        witness = on.subscribe(react)
        for step in [*steps, END]:
            on.do(step)
            if len(witness.elements) > count:
                on.assert_released(when)
        on.later()
        assert len(witness.steps) == count + 1, f"{when}: still emits {witness.brief[count + 1 :]}"


def second(specimen: Specimen, lane: Lane) -> None:
    """Each subscription sees what it would see alone; those of a hot one, all the same."""
    if specimen.hot:
        _hot(specimen, lane)
        return
    steps = steps_of(specimen, lane)

    def alone(given: Callable[[int], bool], *ending: Step) -> list[str]:
        with stage(specimen, lane) as on:
            witness = on.subscribe()
            for at, step in enumerate(steps):
                on.do(step) if given(at) else on.move(step)
            on.do(*ending)
            return witness.story

    whole, half = alone(lambda _: True, END), alone(lambda at: at % 2 == 1, END)
    for shape in ("the same elements", "half of them", "the first disposed of", "the first with an error"):
        when = f"two subscriptions, {shape}"
        with stage(specimen, lane) as on:
            first, other = on.subscribe(), on.subscribe()
            assert len(on.source.subscriptions) == 2, f"{when}: they share one of the source"
            for at, step in enumerate(steps):
                if shape == "the first disposed of" and at == len(steps) // 2:
                    on.dispose(first)
                    on.assert_released(when, of=0)
                if shape == "the first with an error" and at == len(steps) // 2:
                    on.do(fall(), to=0)
                on.do(step, to=0)
                if shape != "half of them" or at % 2 == 1:
                    on.do(step, to=1)
            on.do(END, to=0)
            on.do(END, to=1)
            assert other.story == (half if shape == "half of them" else whole), f"{when}: the second is not as if alone"
            if shape in ("the same elements", "half of them"):
                assert first.story == whole, f"{when}: the first is not as if alone"
            on.assert_released(when)
    with stage(specimen, lane) as on:
        built = on.operator(source := Source())
        first, other = on.subscribe(), Witness()
        on.world.call(built.subscribe, other, scheduler=on.scheduler)
        on.world.pump()
        for step in [*steps, END]:
            on.do(step)
            on.feed(source.subscriptions[0], step)
        assert first.story == other.story == whole, "one operator on two sources mixes them up"


def _hot(specimen: Specimen, lane: Lane) -> None:
    steps = steps_of(specimen, lane)
    whole = undisturbed(specimen, lane, steps).story
    with stage(specimen, lane) as on:
        first, other = on.subscribe(), on.subscribe()
        assert len(on.source.subscriptions) == 1, "hot: they share no subscription of the source"
        on.do(*steps)
        assert first.story == other.story == whole, "hot: they do not see the same"
        on.dispose(first)
        assert not on.source.subscriptions[0].released, "hot: the source is let go of although one is left"
        on.dispose(other)
        on.assert_released("hot, when the last one has left")
        again = on.subscribe()
        on.do(*steps, to=1)
        assert again.story == whole, "hot: who comes after the end is told of the time before"


def ends(specimen: Specimen, lane: Lane) -> None:
    """With values pending it ends as its docstring says; and so does a source of nothing, or one that fails at once."""
    steps = steps_of(specimen, lane)
    for ending, expected in ((END, specimen.at_completion), (fall(), specimen.at_error)):
        with stage(specimen, lane) as on:
            witness = on.subscribe()
            on.do(*steps)
            before = len(witness.steps)
            on.do(ending)
            assert witness.brief[before:] == [*expected, ending[0]]
            if ending is not END:
                assert witness.error is ending[1], f"the source's error came out as another: {witness.error!r}"
    with stage(specimen, lane) as on:
        witness = on.subscribe()
        on.do(END)
        assert witness.brief == [*specimen.of_nothing, "completed"], "an empty source"
        on.assert_released("an empty source")
    error = fall()
    for when, of_source in {
        "a source that errs inside subscribe": {"at_once": lambda mine: mine.do(error)},
        "a source whose subscribe raises": {"raising": error[1]},
    }.items():
        with stage(specimen, lane, **of_source) as on:
            witness = on.subscribe()
            assert witness.steps[-1:] == [error], f"{when}: {witness.brief}"
            on.assert_released(when)
    _at_once(specimen, lane, steps)


def _at_once(specimen: Specimen, lane: Lane, steps: Sequence[Step]) -> None:
    """A cold source is through before its `subscribe` returns."""
    expected = undisturbed(specimen, lane, [*steps, END])
    made: list[Stage] = []

    def run(mine: Subscription) -> None:
        for step in [*steps, END]:
            made[0].move(step)
            mine.do(step)
            made[0].world.pump()

    with stage(specimen, lane, at_once=run) as on:
        made.append(on)
        witness = on.subscribe()
        assert witness.story == expected.story, "a source that is through inside subscribe gives something else"
        on.assert_released("a source that is through inside subscribe")


def scheduler(specimen: Specimen, lane: Lane) -> None:
    """The subscriber's scheduler reaches the source; and where there is a clock, it may come from either side."""
    if specimen.passes_scheduler:
        with stage(specimen, lane) as on:
            mine: abc.SchedulerBase = on.clock.scheduler
            on.world.call(on.built.subscribe, Witness(), scheduler=mine)
            on.world.pump()
            assert on.source.subscriptions[0].scheduler is mine, "the subscriber's scheduler does not reach the source"
    if specimen.clocked:
        steps = [*steps_of(specimen, lane), END]
        with stage(specimen, lane, clock_of_subscriber=True) as on:
            witness = on.subscribe()
            on.do(*steps)
            assert witness.story == undisturbed(specimen, lane, steps).story, (
                "with the subscriber's scheduler it does something else"
            )
