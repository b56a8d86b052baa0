"""The value of a button, option or modal: written into messages, and read from the requests of Slack."""

import re
from dataclasses import dataclass
from typing import Self

NO_REVISION = 0  # no proposal has this revision, so it decides nothing
_FIRST_REVISION = 1  # meant by buttons from before there were revisions
_MOST_REVISIONS = 10**9  # fits the database's integer
_VALUE = re.compile(
    r"(?P<id>[A-Za-z0-9_-]{1,80})(?::(?P<number>[0-9]{1,18})(?::(?P<detail>.*))?)?", re.DOTALL
)
# Forms that existing cards hold: `edit:ID:REVISION` of a menu's option, `ID:KEY` of a bundle's reason.
_MENU_FIRST = re.compile(r"(?P<detail>[a-z]+):(?P<id>[A-Za-z][A-Za-z0-9_-]{0,79}):(?P<number>[0-9]{1,18})")
_ID_ALONE = re.compile(r"(?P<id>[A-Za-z0-9_-]{1,80}):.*", re.DOTALL)
_NO_NUMBER = re.compile(r"(?P<id>[A-Za-z0-9_-]{1,80}):(?P<detail>[a-z_]{1,40})")


@dataclass(frozen=True, slots=True)
class ButtonValue:
    """The form `ID`, `ID:NUMBER` or `ID:NUMBER:DETAIL`. Other data that Slack sends with a button is ignored.

    `id` names a proposal, a bundle or a kind of case. `number` is the shown revision of a proposal, the
    drawing time of a bundle's card, or the page of a list. `detail` is the rest: an item of the menu, the key
    of a reason, or the words of a search.
    """

    id: str
    number: int = _FIRST_REVISION
    detail: str = ""

    @property
    def revision(self) -> int:
        """The number as a proposal's revision; NO_REVISION when it is not a possible one."""
        return self.number if self.number < _MOST_REVISIONS else NO_REVISION

    def __str__(self) -> str:
        return f"{self.id}:{self.number}:{self.detail}" if self.detail else f"{self.id}:{self.number}"

    @classmethod
    def parse(cls, value: object) -> Self:
        """The parsed value. Any other text gives NO_REVISION, which decides nothing. Never raises."""
        text = value if isinstance(value, str) else ""
        if found := _NO_NUMBER.fullmatch(text):
            return cls(found["id"], NO_REVISION, found["detail"])
        found = _MENU_FIRST.fullmatch(text) or _VALUE.fullmatch(text)
        if found is None:
            named = _ID_ALONE.fullmatch(text)
            return cls("" if named is None else named["id"], NO_REVISION)
        number = found["number"]
        return cls(found["id"], _FIRST_REVISION if number is None else int(number), found["detail"] or "")
