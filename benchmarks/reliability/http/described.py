"""Requests made of an OpenAPI description, and then spoilt."""

import json
from random import Random
from typing import Any
from urllib.parse import quote

from benchmarks.reliability.http.wire import request

#: Stands in what people write, but in no name of a field, which may be logged once (see
#: `chat.web.api.ignored`). No log may have it.
CANARY = "zq7Kanariq"
#: How deep what is made of a schema goes at the most.
DEEPEST = 5

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3.5, 10**40, -(10**18), 1e308, float("nan"), float("inf")),
    *("", " ", CANARY, f"\ud800{CANARY}", f"\x00{CANARY}", f"{CANARY}\u2028", CANARY * 2000),
    *([], {}, [[]], [None], {"": None}, {"surplus": CANARY}, [CANARY] * 50, {"type": CANARY}),
    *({"role": "system", "content": CANARY}, [{"type": "text", "text": None}], "-1", "NaN"),
)
RAW = (
    *(b"", b"\xff\xfe", b"{", b'{"messages":', b"[" * 50_000, b'{"a":' * 5_000, b"nul", b"\x00"),
    *(b'{"messages": [], "messages": 1}', b'{"n": 1e999}', b'{"n": ' + b"9" * 6000 + b"}"),
    *(b'\xef\xbb\xbf{"messages": []}', '{"a": "é"}'.encode("latin-1"), b'"text"', b"[]", b"7"),
)
KINDS = (
    *("application/json",) * 8,
    *("application/json; charset=utf-16", "text/plain", "multipart/form-data", "", "x" * 300),
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"),
)
HEADERS = (
    *(("Authorization", f"Bearer {CANARY}"), ("Content-Encoding", "gzip"), ("Accept", "")),
    *(("Cookie", f"{CANARY}=\xff"), ("X-Request-Id", f"{CANARY} {CANARY}"), ("Expect", "x")),
)
NAMES = (
    *("x", "resp_1", "..", "%00", "%ff%fe", "a/b", "a%2fb", "%2e%2e%2fetc", "é", "*", "?", "#"),
    *("A" * 3000, CANARY, "%F0%9F%99%82", "null"),
)


class Described:
    """Makes requests to what a server describes; `description` is its OpenAPI."""

    def __init__(self, description: dict[str, Any], random: Random) -> None:
        self._schemas = description["components"]["schemas"]
        self._random = random
        self._operations = [
            (method, path, operation)
            for path, operations in description["paths"].items()
            for method, operation in operations.items()
            if method in ("get", "post", "delete", "put")
        ]

    def __call__(self) -> bytes:
        """Return one."""
        method, path, operation = self._random.choice(self._operations)
        while "{" in path:
            before, _, rest = path.partition("{")
            path = (
                f"{before}{quote(self._random.choice(NAMES), safe='%/.')}{rest.partition('}')[2]}"
            )
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        made = self.made(schema) if schema else None
        if isinstance(made, dict) and "max_tokens" not in made:
            made["max_tokens"] = 4
        return spoilt(self._random, method.upper(), path, made)

    def made(self, schema: Any, depth: int = 0) -> Any:
        """Return what a schema asks for, about."""
        choice = self._random.choice
        if not isinstance(schema, dict) or depth > DEEPEST:
            return choice((CANARY, 1, None, {}))
        if reference := schema.get("$ref"):
            return self.made(self._schemas[reference.rpartition("/")[2]], depth)
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self.made(choice(schema[several]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return choice(schema["enum"])
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        kind = choice(kinds) if isinstance(kinds, list) else kinds
        match kind:
            case "object":
                needed = schema.get("required", ())
                return {
                    name: self.made(inner, depth + 1)
                    for name, inner in schema.get("properties", {}).items()
                    if name in needed or self._random.random() < 0.15
                }
            case "array":
                inner = schema.get("items", {})
                least = schema.get("minItems", 1)
                return [self.made(inner, depth + 1) for _ in range(choice((least, least, 2)))]
            case "integer":
                return self._random.randint(schema.get("minimum", 0), schema.get("maximum", 9))
            case "number":
                return self._random.uniform(schema.get("minimum", 0), schema.get("maximum", 2))
            case "boolean":
                return choice((True, False))
            case "null":
                return None
        return choice(("Hi.", CANARY, "user", "[a-z]{3}"))


def spoilt(random: Random, method: str, path: str, made: Any) -> bytes:
    """Return a request with `made` as its JSON, in half of which something is not as it should be.

    What holds text holds the canary.
    """
    if random.random() < 0.05:
        method = random.choice(
            ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE")
        )
    if random.random() < 0.05:
        path += random.choice(
            ("/", "//", "?x=%ff", "?" + "a=b&" * 400, f"?q={CANARY}", "%00", ";x")
        )
    kind, body = "application/json", b""
    if made is not None or method in ("POST", "PUT", "PATCH"):
        for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
            made = _with_junk(random, made)
        body = _json(made)
        if random.random() < 0.08:
            body = random.choice(RAW)
        elif random.random() < 0.03:
            body = body[: random.randrange(len(body) + 1)]
        kind = random.choice(KINDS)
    headers = [("Content-Type", kind)]
    if random.random() < 0.05:
        headers.append(random.choice(HEADERS))
    return request(method, path, body, headers)


def _json(made: Any) -> bytes:
    return json.dumps(made).encode()


def _with_junk(random: Random, made: Any) -> Any:
    """Return the same with one thing in it replaced, left out, or put in."""
    if not isinstance(made, dict | list) or not made or random.random() < 0.2:
        return random.choice(JUNK)
    if isinstance(made, list):
        place = random.randrange(len(made))
        return [*made[:place], _with_junk(random, made[place]), *made[place + 1 :]]
    name = random.choice([*made])
    match random.randrange(8):
        case 0:
            return {key: value for key, value in made.items() if key != name}
        case 1:
            return {
                **made,
                random.choice(("surplus", "", "stream", "tools", "n")): random.choice(JUNK),
            }
    return {**made, name: _with_junk(random, made[name])}
