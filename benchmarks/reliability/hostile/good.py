"""What nothing is wrong with: a tiny model in each form, an adapter, and conversations."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

WIDTH, VOCABULARY = 32, 258
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
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
