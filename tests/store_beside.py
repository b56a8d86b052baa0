"""A second program on the same database, for tests of rivals."""

from contextlib import AbstractAsyncContextManager

from store import Store
from store.database import make_engine
from store.store import _serving


def beside(url: str) -> AbstractAsyncContextManager[Store]:
    """A store that another program would have open: it writes, and takes no lock."""
    return _serving(make_engine(url), sole_owner=False)
