"""Who buys what in a month: new customers and a new product each time, so that trust begins at nothing."""

from dataclasses import dataclass
from itertools import cycle

from bot.demo.polar import stock
from bot.demo.polar.shop import Row
from bot.demo.slack import Message
from bot.demo.story import Story

_REGULARS = (
    "Alma Berg", "Ben Otieno", "Clara Dupont", "Dmitri Petrov", "Elif Kaya", "Farah Aziz", "Greta Holm",
    "Hugo Costa", "Ines Moreno", "Jun Tanaka", "Kira Novak", "Leo Brandt", "Mina Park", "Nils Dahl",
)  # fmt: skip
_CURIOUS = 10
EVERY_DAY = 6
"""So many of the regulars come nearly every day once they know the shop."""


@dataclass
class Cast:
    """The regulars, and the credits they buy again and again."""

    regulars: list[Row]
    curious: list[Row]  # they buy once
    credits: Row
    snoozed: Message | None = None
    capped: bool = False
    demoted: bool = False

    def __post_init__(self) -> None:
        self._turn = cycle(self.regulars)
        self._often = cycle(self.regulars[:EVERY_DAY])

    def next(self, count: int) -> list[Row]:
        """The next regulars in turn."""
        return [next(self._turn) for _ in range(count)]

    def often(self, count: int) -> list[Row]:
        """The next of those who come nearly every day."""
        return [next(self._often) for _ in range(count)]


def cast(story: Story, play: int) -> Cast:
    """A fresh cast; `play` counts the months, for people who share a name need not share a mailbox."""
    shop = story.shop
    credits_ = stock.add_product(shop, "Print credits", 1_200, benefits=(story.catalog.keys,))
    suffix = "" if play == 1 else f" {'I' * min(play, 3)}"
    people = [story.customer(f"{name}{suffix}", story.address()) for name in _REGULARS]
    curious = [story.customer(address=story.address()) for _ in range(_CURIOUS)]
    return Cast(people, curious, credits_)
