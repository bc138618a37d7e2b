"""The tokenizer of a GGUF file, with all control tokens that are in it.

Of a byte-level one transformers leaves out those that have other letters than bytes are spelled
with, such as DeepSeek's `<｜User｜>`, and gives those among them that it is told of ids that the
model does not have.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from chat.models import parts
from chat.models.unusable import unusable

#: Of a token, in a GGUF file.
CONTROL = 3
NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")


def load(file: Path) -> Any:
    """Return the tokenizer, of transformers, in which each control token has the file's id.

    Raises:
        ModelError: one that the model is prompted with cannot have it.
    """
    tokenizer = AutoTokenizer.from_pretrained(
        file.parent, gguf_file=file.name, trust_remote_code=False
    )
    control = _control(file)
    wrong = _wrong(tokenizer, control)
    if not wrong:
        return tokenizer
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] == "BPE":
        tokenizer = _mended(tokenizer, state, wrong)
        wrong = _wrong(tokenizer, control)
    prompt = str(tokenizer.chat_template or "")
    if any(token in prompt or token in _named(tokenizer).values() for token in wrong):
        raise unusable(
            f"the tokenizer in {file.name} cannot be read whole; take the original in safetensors"
        )
    return tokenizer


def _control(file: Path) -> dict[str, int]:
    """Return the ids of the control tokens."""
    fields = parts.reader(file).fields
    tokens, kinds = (
        fields[name].contents() if (name := f"tokenizer.ggml.{what}") in fields else []
        for what in ("tokens", "token_type")
    )
    found = zip(tokens, range(len(tokens)), kinds, strict=False)
    return {token: id for token, id, kind in found if kind == CONTROL}


def _wrong(tokenizer: Any, control: dict[str, int]) -> dict[str, int]:
    return {
        token: id for token, id in control.items() if tokenizer.convert_tokens_to_ids(token) != id
    }


def _mended(tokenizer: Any, state: dict[str, Any], wrong: dict[str, int]) -> Any:
    """Return the tokenizer with these tokens, which `state` spells in bytes or has twice."""
    vocabulary = state["model"]["vocab"]
    spelled = {id: token for token, id in vocabulary.items()}
    for token, id in wrong.items():
        vocabulary.pop(spelled.get(id), None)
        vocabulary[token] = id
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    state["added_tokens"] = [
        *(one for one in state["added_tokens"] if one["content"] not in wrong),
        *({"id": id, "content": one, **flags, "special": True} for one, id in wrong.items()),
    ]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        chat_template=tokenizer.chat_template,
        clean_up_tokenization_spaces=False,
        # What begins a text is put there anew, by its right id; and what is not there stays so,
        # where another class would have one of its own.
        add_bos_token=getattr(tokenizer, "add_bos_token", False),
        add_eos_token=getattr(tokenizer, "add_eos_token", False),
        **{name: getattr(tokenizer, name) for name in NAMED},
    )


def _named(tokenizer: Any) -> dict[str, str]:
    return {name: token for name in NAMED if (token := getattr(tokenizer, name))}
