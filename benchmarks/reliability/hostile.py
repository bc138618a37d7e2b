"""Files that mean harm, given to what a host gives files to: each is to end in time, in a sentence.

They are made of small good ones: bytes of headers changed, numbers and texts in JSON replaced by
such as nobody expects, links, and templates put together of what takes long. Each is looked at by a
process of its own, as `--check` does, or as the page imports a file. As a program it looks at cases
that it reads from its input: `python -m benchmarks.reliability.hostile FOLDER`.
"""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gguf import GGUFWriter
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from benchmarks.reliability.steps import Found

#: Cases at full numbers, of all kinds together.
COUNT = 7_000
#: Seconds that one may take on a machine that is busy, and bytes that its process may take.
SECONDS, BYTES = 120, 1_500_000_000
WIDTH, VOCABULARY = 32, 258
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
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


class Looked(NamedTuple):
    """What came of it."""

    case: Case
    seconds: float
    bytes: int
    #: The last line that was said.
    sentence: str
    #: What was not as it has to be, or "".
    broken: str


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


def run(share: float) -> Found:
    """Look at a share of the cases.

    `figures` are, of each kind, the cases, the longest time, and the most memory of a process.
    """
    count = max(len(MAKERS), round(COUNT * share))
    with tempfile.TemporaryDirectory() as scratch:
        found = list(look(cases(1, count, Path(scratch, "cases")), Path(scratch, "cache")))
    figures: dict[str, float | str] = {}
    for kind in MAKERS:
        of_kind = [one for one in found if one.case.kind == kind]
        longest = max(one.seconds for one in of_kind)
        most = max(one.bytes for one in of_kind) / 1e6
        figures[kind] = f"{len(of_kind)} cases, {longest:.1f} s and {most:.0f} MB at the most"
    figures["sentences"] = len({one.sentence for one in found})
    return Found(figures, [f"{one.case}: {one.broken}" for one in found if one.broken])


def look(given: Iterator[Case], cache: Path) -> Iterator[Looked]:
    """Have a process look at each case, and yield what came of it."""
    cache.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks.reliability.hostile", str(cache)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as looking:
        assert looking.stdin
        assert looking.stdout
        for case in given:
            looking.stdin.write(json.dumps(case) + "\n")
            looking.stdin.flush()
            yield Looked(case, *json.loads(looking.stdout.readline()))
        looking.stdin.close()


def make_good(folder: Path) -> None:
    """Make what nothing is wrong with: a tiny model in each form, an adapter and conversations."""
    plain = folder / "safetensors"
    plain.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens": (VOCABULARY, WIDTH),
        "lm_head": (VOCABULARY, WIDTH),
    }
    shapes |= {"model.norm": (WIDTH,)}
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"):
        shapes[f"model.layers.0.{name}"] = (WIDTH, WIDTH)
    for name in ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"):
        shapes[f"model.layers.0.{name}"] = (WIDTH, WIDTH)
    for name in ("input_layernorm", "post_attention_layernorm"):
        shapes[f"model.layers.0.{name}"] = (WIDTH,)
    values = {
        f"{name}.weight": numbers.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    save_file(values, plain / "model.safetensors")
    config = {
        **{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu"},
        **{"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1},
        **{"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": VOCABULARY},
        **{"max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0},
        **{"eos_token_id": 257, "torch_dtype": "float32", "tie_word_embeddings": False},
    }
    (plain / "config.json").write_text(json.dumps(config))
    (plain / "generation_config.json").write_text(json.dumps({"eos_token_id": 257, "top_p": 0.9}))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({one: place for place, one in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(plain / "tokenizer.json"))
    settings = {
        **{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"},
        "chat_template": TEMPLATE,
    }
    (plain / "tokenizer_config.json").write_text(json.dumps(settings))
    _good_gguf(folder / "good.gguf", [*letters, "ab", "<|im_start|>", "<|im_end|>"])
    _good_openvino(plain, folder / "openvino")
    _good_adapter(folder / "adapter")
    for name, said in CONVERSATIONS.items():
        (folder / f"{name}.json").write_text(json.dumps(said))


def _good_gguf(file: Path, tokens: list[str]) -> None:
    writer = GGUFWriter(file, "llama")
    for add, value in (
        (writer.add_context_length, 512),
        (writer.add_embedding_length, WIDTH),
        (writer.add_block_count, 1),
        (writer.add_feed_forward_length, WIDTH),
        (writer.add_head_count, 2),
        (writer.add_head_count_kv, 2),
        (writer.add_layer_norm_rms_eps, 1e-5),
        (writer.add_tokenizer_model, "gpt2"),
        (writer.add_token_list, tokens),
        (writer.add_token_types, [1] * (len(tokens) - 2) + [3, 3]),
        (writer.add_token_merges, ["a b"]),
        (writer.add_eos_token_id, len(tokens) - 1),
        (writer.add_chat_template, TEMPLATE),
    ):
        add(value)
    numbers = np.random.default_rng(0)
    for name, rows in (("token_embd", len(tokens)), ("output", len(tokens)), ("output_norm", 0)):
        shape = (rows, WIDTH) if rows else (WIDTH,)
        writer.add_tensor(f"{name}.weight", numbers.normal(size=shape).astype(np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        matrix = numbers.normal(size=(WIDTH, WIDTH)).astype(np.float16)
        writer.add_tensor(f"blk.0.{name}.weight", matrix)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _good_openvino(plain: Path, folder: Path) -> None:
    shutil.copytree(plain, folder)
    (folder / "model.safetensors").unlink()
    layer = '<layer id="{0}" name="w{0}" type="Const"><data offset="{1}" size="64" /></layer>'
    layers = "".join(layer.format(place, place * 64) for place in range(20))
    for name in ("model", "tokenizer", "detokenizer"):
        text = f'<?xml version="1.0"?><net name="a" version="11"><layers>{layers}</layers></net>'
        (folder / f"openvino_{name}.xml").write_text(text)
        (folder / f"openvino_{name}.bin").write_bytes(b"\0" * 1280)


def _good_adapter(folder: Path) -> None:
    folder.mkdir()
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    parts = {"A": (4, WIDTH), "B": (WIDTH, 4)}
    weights = {f"{layer}.lora_{part}.weight": np.ones(of, np.float32) for part, of in parts.items()}
    save_file(weights, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "a/b"}
    settings |= {"target_modules": ["q_proj"], "rank_pattern": {}, "use_dora": False}
    (folder / "adapter_config.json").write_text(json.dumps(settings))


SAID = [{"role": "user", "content": "A poem?"}, {"role": "assistant", "content": "Drops."}]
TREE = {
    "a": {
        "parent": None,
        "children": ["b"],
        "message": {
            "author": {"role": "user"},
            "content": {"content_type": "text", "parts": ["A poem?"]},
        },
    },
    "b": {
        "parent": "a",
        "children": [],
        "message": {
            "author": {"role": "assistant"},
            "content": {"content_type": "text", "parts": ["Drops."]},
        },
    },
}
#: One as each program writes it.
CONVERSATIONS: dict[str, Any] = {
    "chatgpt": [{"title": "Rain", "create_time": 1.7e9, "current_node": "b", "mapping": TREE}],
    "claude": [
        {
            "name": "Rain",
            "chat_messages": [
                {"uuid": "a", "parent_message_uuid": "0", "sender": "human", "text": "A poem?"}
            ],
        }
    ],
    "deepseek": [
        {
            "title": "Rain",
            "mapping": {
                "1": {
                    "id": "1",
                    "parent": "root",
                    "message": {"fragments": [{"type": "REQUEST", "content": "A poem?"}]},
                }
            },
        }
    ],
    "librechat": {
        "conversationId": "1",
        "messages": [
            {"messageId": "a", "parentMessageId": "0", "isCreatedByUser": True, "text": "A poem?"}
        ],
    },
    "open_webui": [
        {
            "chat": {
                "history": {
                    "currentId": "b",
                    "messages": {
                        "a": {"parentId": None, **SAID[0]},
                        "b": {"parentId": "a", **SAID[1]},
                    },
                }
            }
        }
    ],
    "request": {"model": "any", "system": "Rhyme.", "messages": SAID},
    "sharegpt": [
        {
            "conversations": [
                {"from": "human", "value": "A poem?"},
                {"from": "gpt", "value": "<think>Hm</think>Drops."},
            ]
        }
    ],
    "own": {
        "format": "fourbit-chat",
        "version": 1,
        "conversations": [{"title": "Rain", "messages": SAID}],
    },
}

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


def main(cache: str) -> None:
    """Look at the cases in the input, one a line, each in a process that is forked for it."""
    _prepared()
    for line in sys.stdin:
        case = Case(*json.loads(line))
        with tempfile.TemporaryFile("w+") as said:
            begun = time.monotonic()
            if not (child := os.fork()):
                _forked(case, Path(cache), said)
            code, used = _ended(child)
            seconds = time.monotonic() - begun
            said.seek(0)
            lines = said.read().strip().splitlines() or [""]
        broken = _broken(case, code, seconds, used, lines)
        print(json.dumps([seconds, used, lines[-1][:300], broken]), flush=True)


def _prepared() -> None:
    """Import what a process would, once for all of them."""
    import transformers  # noqa: F401
    from bitsandbytes import nn  # noqa: F401

    from chat import check  # noqa: F401
    from chat.core.imports import apart  # noqa: F401
    from chat.models import ir, lora, quantize  # noqa: F401


def _forked(case: Case, cache: Path, said: Any) -> None:
    status = 1
    with redirect_stdout(said), redirect_stderr(said):
        os.dup2(said.fileno(), 2)
        try:
            status = _given(case, cache)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            said.flush()
            os._exit(status)


def _given(case: Case, cache: Path) -> int:
    """Give a case to what a host or a visitor gives it to; return the exit status."""
    from chat.core.imports import apart
    from chat.errors import ChatError
    from chat.models import adapters

    if case.kind == "import":
        data = b64encode(Path(case.path).read_bytes()).decode() if Path(case.path).is_file() else ""
        try:
            found = apart.read([("talk.json", data)], 900_000)
            print(f"{len(found.conversations)} conversations. {found.refused}")
        except ChatError as error:
            print(error)
        return 0
    if case.kind == "adapter":
        layers = {"model.layers.0.self_attn.q_proj": (WIDTH, WIDTH)}
        try:
            for adapter in filter(None, adapters.read(f"a={case.path}").values()):
                adapter.check(layers)
            print("It fits.")
        except ChatError as error:
            print(error)
        return 0
    from chat import check, settings

    flags = ["--check", case.path, "--cache-dir", str(cache), "--data-dir", str(cache)]
    if case.kind in ("tokenizer", "template"):
        flags += ["--engine", "transformers"]
    return check.check(settings.read(flags))


def _ended(child: int) -> tuple[int | None, int]:
    """Return the exit status of a process, None if it had to be ended, and the bytes it took."""
    until = time.monotonic() + SECONDS
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            return None, usage.ru_maxrss * 1024
        time.sleep(0.005)


def _broken(case: Case, code: int | None, seconds: float, used: int, lines: list[str]) -> str:
    """Say what is not as it has to be, or nothing."""
    from chat.errors import UNEXPECTED

    text = "\n".join(lines)
    if code is None:
        return f"it had not ended after {SECONDS} s"
    if code not in (0, 1):
        return f"it ended with status {code}: {text[-300:]}"
    if "Traceback (most recent" in text or "panicked" in text or UNEXPECTED in text:
        return f"no sentence: {text[-1500:]}"
    if "\x1b" in text:
        return f"signs for terminals: {text[-300:]!r}"
    if len(lines[-1]) > 2_000:
        return f"a sentence of {len(lines[-1])} letters"
    return f"it took {used / 1e6:.0f} MB" if used > BYTES else ""


if __name__ == "__main__":
    main(sys.argv[1])
