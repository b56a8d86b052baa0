"""Regenerate catalog.json and event_fields.json from Polar's OpenAPI document, and print what changed.

    python -m polar.catalog.generate OPENAPI.json            writes both files, prints the changes
    python -m polar.catalog.generate OPENAPI.json --check    writes nothing, exit status 1 when they differ

Only facts are taken over (names, types, bounds, scopes, callers); prose is left behind.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
METHODS = ("get", "post", "put", "patch", "delete")
REF = "#/components/schemas/"
FACTS = (
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "deprecated",
)
OPEN = "*"
LONG_ENUM = 50  # longer lists (time zones) are kept once, by name
# Newer than the document, and frozen into the 2026-10 contract.
MIGRATED = {"provider": None, "provider_subscription_id": None}

Json = dict[str, Any]


class Schemas:
    """The component schemas of one document, pruned to facts; remembers which were referred to."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.raw: Mapping[str, Json] = document["components"]["schemas"]
        self.used: dict[str, Json] = {}

    def prune(self, schema: Mapping[str, Any]) -> Json:
        """The facts of a schema in JSON Schema's own words, `$ref` shortened to the bare name.

        `null` among the alternatives becomes `nullable`, one remaining alternative stands for itself.
        """
        if "$ref" in schema:
            return {"$ref": self._use(schema["$ref"].removeprefix(REF))}
        if alternatives := schema.get("anyOf") or schema.get("oneOf"):
            return self._union(schema, alternatives)
        facts = {key: _whole(schema[key]) for key in FACTS if key in schema}
        if "const" in schema:
            facts["enum"] = [schema["const"]]
        name = schema.get("title", "").replace(" ", "")
        if len(facts.get("enum", ())) > LONG_ENUM and name not in self.raw:
            self.used[name] = facts
            return {"$ref": name}
        return facts | self._members(schema)

    def _use(self, name: str) -> str:
        if name not in self.used:
            self.used[name] = {}  # taken before its members are read: a schema may hold itself
            self.used[name] = self.prune(self.raw[name])
        return name

    def _union(self, schema: Mapping[str, Any], alternatives: list[Json]) -> Json:
        kept = [self.prune(one) for one in alternatives if one.get("type") != "null"]
        facts: Json = dict(kept[0]) if len(kept) == 1 else {"anyOf": kept}
        if len(kept) < len(alternatives):
            facts["nullable"] = True
        if "discriminator" in schema:
            facts["discriminator"] = schema["discriminator"]["propertyName"]
        if schema.get("deprecated"):
            facts["deprecated"] = True
        return facts

    def _members(self, schema: Mapping[str, Any]) -> Json:
        facts: Json = {}
        if "properties" in schema:
            facts["properties"] = {
                name: self.prune(schema["properties"][name]) for name in schema["properties"]
            }
            facts["required"] = sorted(schema.get("required", ()))
        if "items" in schema:
            facts["items"] = self.prune(schema["items"])
        if (extra := schema.get("additionalProperties")) is not None:
            facts["additionalProperties"] = self.prune(extra) if isinstance(extra, dict) else extra
        if (names := schema.get("propertyNames")) is not None:
            facts["propertyNames"] = self.prune(names)
        return facts


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def catalog(document: Mapping[str, Any]) -> Json:
    """`{"operations": {id: facts}, "schemas": {name: facts}}` of an OpenAPI document, sorted."""
    schemas = Schemas(document)
    operations = {}
    for path, method, raw in _operations(document):
        operations[raw["operationId"]] = _operation(schemas, path, method, raw)
    return {
        "operations": dict(sorted(operations.items())),
        "schemas": dict(sorted(schemas.used.items())),
    }


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _operation(schemas: Schemas, path: str, method: str, raw: Json) -> Json:
    facts: Json = {
        "method": method.upper(),
        "path": path,
        "summary": raw["summary"],
        "callers": callers(raw),
        "scopes": sorted(
            {scope for way in raw.get("security", ()) for names in way.values() for scope in names}
        ),
    }
    if parameters := [_parameter(schemas, one) for one in raw.get("parameters", ())]:
        facts["parameters"] = parameters
    if body := raw.get("requestBody"):
        ((media, content),) = body["content"].items()
        facts["body"] = {"required": body.get("required", False), "schema": schemas.prune(content["schema"])}
        if media != "application/json":
            facts["body"]["media"] = media
    if any(one["name"] == "page" for one in facts.get("parameters", ())):
        facts["paginated"] = True
    return facts


def callers(raw: Mapping[str, Any]) -> list[str]:
    """The callers that are allowed: from `x-polar-allowed-subjects`, else from the security schemes.

    No scheme at all is "anonymous"; OpenID alone (userinfo) is "openid".
    """
    if subjects := raw.get("x-polar-allowed-subjects"):
        return sorted(one.lower() for one in subjects)
    schemes = {name for way in raw.get("security", ()) for name in way}
    if not schemes:
        return ["anonymous"]
    names = {"customer_session": "customer", "member_session": "member", "oidc": "openid"}
    return sorted(names[one] for one in schemes)


def _parameter(schemas: Schemas, raw: Json) -> Json:
    schema = schemas.prune(raw["schema"])
    facts: Json = {"name": raw["name"], "in": raw["in"]}
    if raw["required"]:
        facts["required"] = True
    if raw.get("deprecated"):
        facts["deprecated"] = True
    if "style" in raw:
        facts["style"] = raw["style"]
    one_of = schema.pop("anyOf", None)
    if one_of is not None:  # Polar's unions here are always "one, or a list of the same"
        schema |= next(one for one in one_of if one.get("type") != "array")
        facts["multiple"] = True
    elif schema.get("type") == "array":
        schema = schema["items"]
        facts["multiple"] = True
    schema.pop("nullable", None)  # a parameter that is null is one that is not sent
    return facts | {"schema": schema}


# -- the fields of the webhook payloads ------------------------------------------------------------------


class Fields:
    """Trees of field names.

    null is a plain value, "*" a free-form object, [tree] a list, "Name" the shared tree of that name, and an
    object holds the trees of its fields.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.raw: Mapping[str, Json] = document["components"]["schemas"]
        self.named: dict[str, Any] = {}
        self._under_way: list[str] = []

    def tree(self, schema: Mapping[str, Any]) -> Any:
        """The tree of one schema; the union of the alternatives where there are several."""
        if "$ref" in schema:
            return self._named(schema["$ref"].removeprefix(REF))
        if alternatives := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            return self._merge([self.tree(one) for one in alternatives])
        if "properties" in schema:
            return {name: self.tree(schema["properties"][name]) for name in sorted(schema["properties"])}
        if schema.get("type") == "object":
            return OPEN
        if schema.get("type") == "array":
            return [self.tree(schema["items"])] if "items" in schema else [None]
        return None

    def _named(self, name: str) -> Any:
        if name in self._under_way:
            return OPEN  # a filter holds filters: names are checked one level down
        if name not in self.named:
            self._under_way.append(name)
            self.named[name] = self.tree(self.raw[name])
            self._under_way.pop()
        tree = self.named[name]
        return name if isinstance(tree, dict) else tree

    def _merge(self, trees: list[Any]) -> Any:
        """The union of the fields: a name is right when any of the alternatives has it."""
        distinct: list[Any] = []
        for tree in trees:
            if tree is not None and tree not in distinct:
                distinct.append(tree)
        if len(distinct) < 2:
            return distinct[0] if distinct else None
        resolved = [self.named[one] if isinstance(one, str) and one != OPEN else one for one in distinct]
        if OPEN in resolved:
            return OPEN
        if all(isinstance(one, list) for one in resolved):
            return [self._merge([one[0] for one in resolved])]
        merged: Json = {}
        for fields in resolved:
            for name, tree in fields.items():
                merged[name] = self._merge([merged[name], tree]) if name in merged else tree
        return dict(sorted(merged.items()))


def event_fields(document: Mapping[str, Any]) -> Json:
    """`{"events": {type: tree}, "shared": {name: tree}}` of the webhooks of an OpenAPI document."""
    fields = Fields(document)
    events: Json = {}
    for kind, item in document["webhooks"].items():
        schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        events[kind] = fields.named[fields.tree(schema)]
    events.setdefault(
        "subscription.migrated", dict(sorted((events["subscription.updated"] | MIGRATED).items()))
    )
    shared: Json = {}
    for tree in events.values():
        _collect(fields.named, tree, shared)
    return {"events": dict(sorted(events.items())), "shared": dict(sorted(shared.items()))}


def _collect(named: Mapping[str, Any], tree: Any, shared: Json) -> None:
    if isinstance(tree, str) and tree != OPEN and tree not in shared:
        shared[tree] = named[tree]
        _collect(named, named[tree], shared)
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        _collect(named, child, shared)


# -- files and differences -------------------------------------------------------------------------------


def dump(sections: Mapping[str, Any]) -> str:
    """JSON with one line an entry: a change of one operation is a change of one line."""
    parts = []
    for title, entries in sections.items():
        lines = ",\n".join(f"{json.dumps(key)}:{_compact(entries[key])}" for key in entries)
        parts.append(f"{json.dumps(title)}:{{\n{lines}\n}}")
    return "{" + ",\n".join(parts) + "}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """One line for each thing new, gone or different, e.g. "operations: orders:void is new"."""
    for section in {**before, **after}:
        old, new = before.get(section, {}), after.get(section, {})
        for key in sorted(old.keys() | new.keys()):
            if key not in old:
                yield f"{section}: {key} is new"
            elif key not in new:
                yield f"{section}: {key} is gone"
            elif old[key] != new[key]:
                yield f"{section}: {key} changed{_where(old[key], new[key])}"


def _where(old: Any, new: Any) -> str:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return ""
    same = [key for key in old if key in new and old[key] == new[key]]
    return f" in {', '.join(sorted((old.keys() | new.keys()) - set(same)))}"


def generated(document: Mapping[str, Any]) -> dict[str, Json]:
    """File name to content, for every file this script writes."""
    return {"catalog.json": catalog(document), "event_fields.json": event_fields(document)}


def present(name: str, folder: Path = FOLDER) -> Json:
    """The content of a generated file as it is now; empty when there is none yet."""
    path = folder / name
    content: Json = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return content


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Exit status: 0, or 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m polar.catalog.generate", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("document", type=Path, metavar="OPENAPI.json")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 when something differs"
    )
    options = parser.parse_args(arguments)
    found = 0
    for name, content in generated(json.loads(options.document.read_text("utf-8"))).items():
        for line in changes(present(name, folder), content):
            sys.stdout.write(f"{name}: {line}\n")
            found += 1
        if not options.check:
            (folder / name).write_text(dump(content), "utf-8")
    sys.stdout.write(f"{found} changes\n" if found else "no change\n")
    return 1 if options.check and found else 0


if __name__ == "__main__":
    raise SystemExit(main())
