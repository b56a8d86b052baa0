"""Faults on demand: what goes wrong with the next calls of a stand-in."""

from typing import Generic, TypeVar

ANY = "*"
F = TypeVar("F")


class Faults(Generic[F]):
    """Faults that wait for a call, first asked first served."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, F]] = []

    def add(self, where: str, fault: F, times: int) -> None:
        """Have it happen to the next `times` calls that fit `where`: a name, or ANY."""
        self._waiting += [(where, fault)] * times

    def take(self, *names: str) -> F | None:
        """The fault of a call with these names, if there is one; it is used up."""
        for place, (where, fault) in enumerate(self._waiting):
            if where == ANY or where in names:
                del self._waiting[place]
                return fault
        return None
