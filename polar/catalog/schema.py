"""The JSON schema of a value in a request: a view of the pruned schemas in catalog.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@cache
def contract() -> Mapping[str, Any]:
    """catalog.json as parsed: `operations` by id, `schemas` by name. Read once."""
    content: Mapping[str, Any] = json.loads(Path(__file__).with_name("catalog.json").read_bytes())
    return content


@dataclass(frozen=True, slots=True)
class Schema:
    """One pruned schema. Its parts are made when asked for: most never are, and some hold themselves."""

    facts: Mapping[str, Any] = field(repr=False)
    name: str = ""  # of the schema in Polar's document, "" when it has none

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Schema":
        """Follows `$ref`; what stands beside the reference (nullable, deprecated) holds too."""
        name = ""
        while "$ref" in facts:
            name = facts["$ref"]
            beside = {key: value for key, value in facts.items() if key != "$ref"}
            facts = {**contract()["schemas"][name], **beside}
        return cls(facts, name)

    @property
    def type(self) -> str:
        """string, integer, number, boolean, array, object, null, union, or any."""
        if "anyOf" in self.facts:
            return "union"
        return str(self.facts.get("type", "any"))

    @property
    def nullable(self) -> bool:
        return bool(self.facts.get("nullable")) or self.type in ("null", "any")

    @property
    def format(self) -> str | None:
        """uuid4, uuid, date-time, date, email, uri, ...: as Polar's document has it."""
        return self.facts.get("format")

    @property
    def enum(self) -> tuple[Any, ...]:
        """The only values allowed; empty when any will do."""
        return tuple(self.facts.get("enum", ()))

    @property
    def deprecated(self) -> bool:
        return bool(self.facts.get("deprecated"))

    @property
    def fields(self) -> dict[str, "Schema"]:
        """The named members of an object."""
        return {name: Schema.of(facts) for name, facts in self.facts.get("properties", {}).items()}

    @property
    def required(self) -> frozenset[str]:
        return frozenset(self.facts.get("required", ()))

    @property
    def values(self) -> "Schema | None":
        """The schema of the members of a free-form object (metadata, amounts); None when the names are
        fixed.
        """
        extra = self.facts.get("additionalProperties", "properties" not in self.facts)
        if extra is False:
            return None
        return Schema.of(extra if isinstance(extra, dict) else {})

    @property
    def keys(self) -> "Schema | None":
        """The schema of the names in a free-form object."""
        names = self.facts.get("propertyNames")
        return Schema.of({"type": "string", **names}) if names else None

    @property
    def items(self) -> "Schema":
        return Schema.of(self.facts.get("items", {}))

    @property
    def options(self) -> tuple["Schema", ...]:
        """The alternatives of a union, unions among them taken apart; of anything else, itself."""
        if self.type != "union":
            return (self,)
        return tuple(option for facts in self.facts["anyOf"] for option in Schema.of(facts).options)

    @property
    def discriminator(self) -> str | None:
        """The field whose value says which alternative is meant, where the contract names one."""
        return self.facts.get("discriminator")
