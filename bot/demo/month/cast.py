"""The buyers of a month: new customers and a new product each time, so that trust begins at nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from bot.demo.polar import stock
from bot.demo.polar.shop import Row
from bot.demo.story import Story


@dataclass
class Cast:
    """The regulars, and the credits they buy again and again; what the scenes keep for one another."""

    regulars: list[Row]
    curious: list[Row]  # they buy once
    credits: Row
    every_day: int  # so many of the regulars come nearly every day once they know the shop
    capped: bool = False
    demoted: bool = False
    kept: dict[str, Any] = field(default_factory=dict)  # by the step that got it

    def __post_init__(self) -> None:
        self._turn = cycle(self.regulars)
        self._often = cycle(self.regulars[: self.every_day])

    def next(self, count: int) -> list[Row]:
        """The next regulars in turn."""
        return [next(self._turn) for _ in range(count)]

    def often(self, count: int) -> list[Row]:
        """The next of those who come nearly every day."""
        return [next(self._often) for _ in range(count)]


def cast(story: Story, play: int, script: Mapping[str, Any]) -> Cast:
    """A fresh cast; `play` counts the months, for people who share a name need not share a mailbox."""
    credits_ = stock.add_product(story.shop, benefits=(story.keys,), **script["product"])
    suffix = "" if play == 1 else f" {'I' * min(play, 3)}"
    people = [story.customer(f"{name}{suffix}", story.address()) for name in script["regulars"]]
    curious = [story.customer(address=story.address()) for _ in range(script["curious"])]
    return Cast(people, curious, credits_, script["every_day"])
