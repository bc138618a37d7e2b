"""Files that mean harm, made of small good ones.

Bytes of headers are changed, numbers and texts in JSON replaced by such as nobody expects, files by
links, and templates are put together of what takes long.
"""

import json
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.reliability.hostile.good import CONVERSATIONS, TEMPLATE, make_good

#: What stands in JSON for something else.
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 2**31, 2**63, 10**400, -(10**12), float("nan"), float("inf")),
    *(
        "",
        "\x1b[2J",
        "../../../etc/passwd",
        "/dev/zero",
        "\ud800",
        "a" * 100_000,
        "(a+)+b",
        "{{ 1/0 }}",
    ),
    *([], {}, [[]], {"": {}}, [0] * 10_000),
)
#: Parts of templates, of which some never end alone.
PARTS = (
    "{% for i in range(99999) %}{BODY}{% endfor %}",
    "{% for m in messages %}{BODY}{% endfor %}",
    "{% set n = namespace(a=[1]) %}{% for i in range(50) %}{% set n.a = [n.a, n.a] %}{% endfor %}"
    "{BODY}",
    "{% macro m(n) %}{{ m(n - 1) ~ m(n - 1) if n }}{% endmacro %}{{ m(40) }}{BODY}",
    "{% if messages[0].role == 'system' %}{BODY}{% endif %}",
    *("{{ n.a }}", "{{ n.a == n.a }}", "{{ 'a' * 10 ** 9 }}", "{{ 10 ** (10 ** 9) }}"),
    *(
        "{{ messages[-1].content | center(10 ** 8) }}",
        "{{ lipsum(n=10 ** 6) }}",
        "{{ '%*d' % (9 ** 9, 1) }}",
    ),
    *(
        "{{ raise_exception('No.') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ self }}",
        "{{ [[1]] | tojson(indent=99999999) }}",
    ),
    *("{% endif %}", "{{", "{% include '/etc/passwd' %}", "{{ messages[1000].content.content }}"),
    "{{ m.content }}",
)


class Case(NamedTuple):
    """One."""

    kind: str
    description: str
    path: str


def cases(seed: int, count: int, folder: Path) -> Iterator[Case]:
    """Yield so many cases, of each kind in turn, made in `folder`: the same for the same seed."""
    good = folder / "good"
    make_good(good)
    kinds = list(MAKERS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        made = folder / f"{number:06}"
        made.mkdir()
        chance = random.Random(f"{seed} {number}")
        path, description = MAKERS[kind](chance, good, made)
        yield Case(kind, description, str(path))
        shutil.rmtree(made)


Made = tuple[Path, str]


def _gguf(chance: random.Random, good: Path, folder: Path) -> Made:
    data = bytearray((good / "good.gguf").read_bytes())
    file = folder / chance.choice(
        ["a.gguf", "a.GGUF", "a-00001-of-00001.gguf", "a-00001-of-99999.gguf"]
    )
    description = _bytes_changed(chance, data, 9_000)
    file.write_bytes(data)
    return file, description


def _safetensors(chance: random.Random, good: Path, folder: Path) -> Made:
    shutil.copytree(good / "safetensors", folder, dirs_exist_ok=True)
    return folder, _weights_or(
        chance, folder, "model.safetensors", ["config.json", "generation_config.json"]
    )


def _tokenizer(chance: random.Random, good: Path, folder: Path) -> Made:
    shutil.copytree(good / "safetensors", folder, dirs_exist_ok=True)
    name = chance.choice(["tokenizer.json", "tokenizer.json", "tokenizer_config.json"])
    return folder, _file_changed(chance, folder / name)


def _template(chance: random.Random, good: Path, folder: Path) -> Made:
    shutil.copytree(good / "safetensors", folder, dirs_exist_ok=True)
    template = "BODY"
    for _ in range(chance.randrange(1, 6)):
        template = template.replace("BODY", chance.choice(PARTS).replace("{BODY}", "BODY"))
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings["chat_template"] = template.replace("BODY", TEMPLATE)
    file.write_text(json.dumps(settings))
    return folder, template


def _openvino(chance: random.Random, good: Path, folder: Path) -> Made:
    shutil.copytree(good / "openvino", folder, dirs_exist_ok=True)
    name = (
        f"openvino_{chance.choice(['model', 'tokenizer'])}.{chance.choice(['xml', 'xml', 'bin'])}"
    )
    file = folder / name
    match chance.randrange(4):
        case 0:
            return folder, _linked(chance, file)
        case 1:
            entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 9}">' for n in range(1, 40))
            file.write_text(f"<!DOCTYPE a [<!ENTITY a0 'a'>{entities}]><a>&a39;</a>")
            return folder, f"{name}: entities of entities"
        case 2:
            file.write_text(
                file.read_text().replace('"64"', f'"{chance.choice(["9" * 9999, 2**63, -1])}"')
            )
            return folder, f"{name}: a size"
    data = bytearray(file.read_bytes())
    description = _bytes_changed(chance, data, len(data))
    file.write_bytes(data)
    return folder, f"{name}: {description}"


def _adapter(chance: random.Random, good: Path, folder: Path) -> Made:
    shutil.copytree(good / "adapter", folder, dirs_exist_ok=True)
    return folder, _weights_or(chance, folder, "adapter_model.safetensors", ["adapter_config.json"])


def _import(chance: random.Random, good: Path, folder: Path) -> Made:
    file = folder / "talk.json"
    name = chance.choice(list(CONVERSATIONS))
    if chance.random() < 0.05:
        unit = chance.choice(["[],", "{},", '{"":0},', "[" * 300 + "]" * 300 + ",", '"a",', "{}\n"])
        file.write_text("[" + unit * (25_000_000 // len(unit)) + "0]")
        return file, f"25 MB of {unit[:10]}"
    shutil.copyfile(good / f"{name}.json", file)
    return file, f"{name}: {_file_changed(chance, file)}"


MAKERS: dict[str, Callable[[random.Random, Path, Path], Made]] = {
    "gguf": _gguf,
    "safetensors": _safetensors,
    "tokenizer": _tokenizer,
    "template": _template,
    "openvino": _openvino,
    "adapter": _adapter,
    "import": _import,
}


def _weights_or(chance: random.Random, folder: Path, weights: str, others: list[str]) -> str:
    """Change a file of weights or another one; return what was done."""
    name = chance.choice([weights, *others])
    if name != weights:
        return _file_changed(chance, folder / name)
    file = folder / weights
    if chance.random() < 0.1:
        return _linked(chance, file)
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if chance.random() < 0.5:
        changed = bytearray(data)
        description = _bytes_changed(chance, changed, 8 + length)
        file.write_bytes(changed)
        return f"{weights}: {description}"
    header = json.loads(data[8 : 8 + length])
    description = _value_changed(chance, header)
    made = json.dumps(header).encode()
    said = chance.choice([len(made), len(made), 0, len(made) - 1, 2**63, 99_000_000])
    file.write_bytes(struct.pack("<Q", said) + made + data[8 + length :])
    return f"{weights}: {description}"


def _file_changed(chance: random.Random, file: Path) -> str:
    """Change a file of JSON; return what was done."""
    text = file.read_text()
    match chance.randrange(8):
        case 0:
            return _linked(chance, file)
        case 1:
            depth = chance.choice([900, 5_000, 100_000])
            file.write_text('{"a":' * depth + text + "}" * depth)
            return f"{file.name}: {depth} deep"
        case 2:
            data = bytearray(text.encode())
            description = _bytes_changed(chance, data, len(data))
            file.write_bytes(data)
            return f"{file.name}: {description}"
    value = json.loads(text)
    description = "; ".join(_value_changed(chance, value) for _ in range(chance.choice([1, 1, 3])))
    file.write_text(json.dumps(value))
    return f"{file.name}: {description}"


def _linked(chance: random.Random, file: Path) -> str:
    """Put something else in the place of a file."""
    file.unlink()
    target = chance.choice(["/etc/passwd", "/dev/zero", "../good", file.name, "a pipe", "nothing"])
    if target == "a pipe":
        os.mkfifo(file)
    elif target != "nothing":
        file.symlink_to(target)
    return f"{file.name}: {target} in its place"


def _value_changed(chance: random.Random, value: Any) -> str:
    """Replace something in what was JSON; return what."""
    places = list(_places(value, ""))
    if not places:
        return "nothing"
    inside, key, name = chance.choice(places)
    odd = chance.choice(ODD)
    inside[key] = deepcopy(odd)
    return f"{name[:80]} = {repr(odd)[:40]}"


def _places(value: Any, name: str, most: int = 300) -> Iterator[tuple[Any, Any, str]]:
    found = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(found)[:most]:
        yield value, key, f"{name}/{key}"
        if isinstance(inner, dict | list):
            yield from _places(inner, f"{name}/{key}", 20)


def _bytes_changed(chance: random.Random, data: bytearray, most: int) -> str:
    """Change some of the first `most` bytes; return how."""
    place = chance.randrange(max(1, min(most, len(data)) - 8))
    match chance.randrange(4):
        case 0:
            del data[place:]
            return f"cut at {place}"
        case 1:
            number = chance.choice([2**63, 2**64 - 1, 10**9, 10**12, 0, 2**32 - 1])
            data[place : place + 8] = struct.pack("<Q", number)
            return f"{number} at {place}"
        case 2:
            for _ in range(chance.randrange(1, 20)):
                data[chance.randrange(max(1, min(most, len(data))))] = chance.randrange(256)
            return "some bytes"
    extra = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 500)))
    data[place:place] = extra
    return f"{len(extra)} bytes more at {place}"
