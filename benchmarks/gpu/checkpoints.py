"""Models with random weights, as folders that the app can load."""

import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

BEGIN, END = 1, 2
CONTROLS = ["<unk>", "<s>", "</s>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ message['role'] + ': ' + message['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def make(folder: Path, shape: dict[str, Any], device: str) -> None:
    """Write a Llama with random weights in 16 bits, and a tokenizer; none is left half done."""
    # Here and not above: who wants a tokenizer alone would wait for torch.
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("llama", **shape, bos_token_id=BEGIN, eos_token_id=END)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float16)
        model.save_pretrained(scratch, max_shard_size="2GB")
        del model
        tokenizer(int(shape["vocab_size"])).save_pretrained(scratch)
        made = Path(scratch, "made")
        made.mkdir()
        for file in Path(scratch).iterdir():
            if file.is_file():
                file.rename(made / file.name)
        made.rename(folder)


def tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Return one with so many tokens, each a byte or a word of its own."""
    pieces = [*CONTROLS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces += [f"Ġw{number}" for number in range(vocabulary - len(pieces))]
    vocab = {piece: id for id, piece in enumerate(pieces[:vocabulary])}
    backend = Tokenizer(models.BPE(vocab, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=CONTROLS[0],
        bos_token=CONTROLS[BEGIN],
        eos_token=CONTROLS[END],
        chat_template=TEMPLATE,
    )
