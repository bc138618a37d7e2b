"""chat.models.gguf_tokenizer: all control tokens of a file are there, by the file's own ids."""

import json
from pathlib import Path

import pytest
from gguf import GGUFReader
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from chat.models import gguf_tokenizer
from tests.support import gguf_file

#: Letters of which no byte is spelled: as DeepSeek writes its marks.
RENAMED = {"<|im_start|>": "<｜start｜>", "<|im_end|>": "<｜end▁of▁turn｜>"}
#: A kind for which transformers has a class of its own, with an unknown token.
QWEN = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}


@pytest.mark.parametrize("renamed", [{}, RENAMED])
def test_control_tokens_have_the_files_ids_and_are_whole(
    renamed: dict[str, str], tmp_path: Path
) -> None:
    file = gguf_file.write(tmp_path / "a.gguf", renamed=renamed)
    tokens = GGUFReader(file).fields["tokenizer.ggml.tokens"].contents()
    tokenizer = gguf_tokenizer.load(file)
    tokenizer.save_pretrained(tmp_path / "saved")
    saved = PreTrainedTokenizerFast.from_pretrained(tmp_path / "saved")
    (tmp_path / "saved/config.json").write_text(json.dumps(QWEN))
    for read in (tokenizer, saved, AutoTokenizer.from_pretrained(tmp_path / "saved")):
        assert len(read) == len(tokens)
        for token in ("<|im_start|>", "<|im_end|>"):
            token = renamed.get(token, token)
            ids = read.encode(f"a{token}b", add_special_tokens=False)
            assert ids[1:-1] == [tokens.index(token)]
            assert read.decode(ids, skip_special_tokens=True) == "ab"
        begins = [tokens.index(renamed.get("<|im_start|>", ""))] if renamed else []
        whole = read.encode("Hello, Wörld!")
        assert whole == begins + read.encode("Hello, Wörld!", add_special_tokens=False)
        assert whole == tokenizer.encode("Hello, Wörld!")
        assert renamed.get("<|im_start|>", "<|im_start|>") in read.chat_template
        assert read.convert_tokens_to_ids(read.eos_token) < len(tokens)
