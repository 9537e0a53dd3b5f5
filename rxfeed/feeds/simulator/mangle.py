"""What faults do to records on their way out: cut in two, joined, sent twice, in the wrong order. Nothing is lost by it."""

from __future__ import annotations

from random import Random

from rxfeed.feeds.simulator.records import Record, raw


class Mangler:
    """One connection's records on their way out.

    Args:
        random: where records are cut.
    """

    __slots__ = ("_held", "_random", "duplicates", "join_until", "split_until", "swaps")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._held: Record | None = None
        self.split_until = 0
        self.join_until = 0
        self.duplicates = 0
        self.swaps = 0

    def __call__(self, records: list[Record], now: int) -> list[Record]:
        """Return what is sent instead."""
        if self.duplicates or self.swaps or self._held is not None:
            records = self._shuffled(records)
        if now < self.join_until and len(records) > 1:
            records = [Record.joined(records)]
        if now < self.split_until:
            records = [piece for record in records for piece in self._cut(record)]
        return records

    def _shuffled(self, records: list[Record]) -> list[Record]:
        result: list[Record] = []
        for record in records:
            if record.topic[0] != "trades":
                result.append(record)
                continue
            held, self._held = self._held, None
            if held is not None:
                result += (record, held)
            elif self.swaps:
                self.swaps -= 1
                self._held = record
            else:
                result.append(record)
                if self.duplicates:
                    self.duplicates -= 1
                    result.append(record.repeated())
        return result

    def _cut(self, record: Record) -> list[Record]:
        payload = record.payload
        at = self._random.randint(1, len(payload) - 1)
        # The part that completes the record is the one that counts.
        return [raw(payload[:at]), record.with_payload(payload[at:])]
