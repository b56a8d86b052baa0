"""Hashes of content: canonical JSON, SHA-256, the id of a proposal."""

import base64
import hashlib
import json
from typing import Any


def canonical_json(value: Any, *, ascii_only: bool = True) -> str:
    """JSON with sorted names and nothing between: the same content is the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)


def sha256(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def proposal_id(seed: str) -> str:
    """The id that follows from what a proposal is about: made twice, it is the same proposal."""
    return "p" + base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()[:12]
