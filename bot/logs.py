"""Logging: one line each, to standard error; libraries that would print addresses or bodies are quieter."""

import logging


def set_up_logging(level: int = logging.INFO) -> None:
    """Log at `level`; call once, at the start of a command."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # httpx logs every URL, and a query can hold an e-mail address; Bolt and the SDK log payloads at debug.
    for name in ("httpx", "httpcore", "slack_bolt", "slack_sdk", "aiohttp.access", "alembic", "websockets"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
