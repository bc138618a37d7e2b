"""Tokenizers made on the spot: small, quick, and built like those of real models."""

import functools
import json

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "The capital of France is Paris. The capital of Italy is Rome.",
    "What is the capital of France? Please answer in one short sentence.",
    "You are a helpful assistant. The user asks and the assistant answers.",
    "system user assistant [INST] Hello there, how are you? [/INST] <<SYS>> <</SYS>>",
    "One, two, three, four, five, six. 1 2 3 4 5 6 7 8 9 10 JQKXZ |",
]
CODE = "def add(first, second):\n    return first + second\n\nfor name in names:\n    print(name)"
FOREIGN = "Über die Brücke, déjà vu. こんにちは世界。 你好,世界。 Привет, мир. 🙂 🙃"

CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

LLAMA2_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}"
    "{% set messages = messages[1:] %}"
    "{% else %}{% set system = '' %}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    "{% set content = (system if loop.first else '') + message['content'] %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)

LLAMA3_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)

VICUNA_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + ' ' }}"
    "{% elif message['role'] == 'user' %}{{ 'USER: ' + message['content'] }}"
    "{% else %}{{ ' ASSISTANT: ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}{{ ' ASSISTANT:' }}"
)


def chatml_tokenizer() -> PreTrainedTokenizerFast:
    """Return one like SmolLM2's: byte-level BPE, and ChatML's control tokens."""
    tokenizer = _byte_level("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|im_end|>",
        chat_template=CHATML_TEMPLATE,
    )


def llama3_tokenizer() -> PreTrainedTokenizerFast:
    """Return one like Llama-3's: byte-level BPE, and control tokens for headers and turns."""
    marks = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"]
    return PreTrainedTokenizerFast(
        tokenizer_object=_byte_level(*marks, "<|eot_id|>"),
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        chat_template=LLAMA3_TEMPLATE,
    )


def chatglm_tokenizer() -> PreTrainedTokenizerFast:
    """Return one with the control tokens of ChatGLM-6B and of ChatGLM3."""
    roles = ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
    return PreTrainedTokenizerFast(
        tokenizer_object=_byte_level("[gMASK]", "<sop>", "sop", "<eop>", "</s>", *roles),
        eos_token="</s>",
    )


def _byte_level(*controls: str) -> Tokenizer:
    return Tokenizer.from_str(_learned(controls))


@functools.cache  # it takes longer than most tests
def _learned(controls: tuple[str, ...]) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(controls),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*CORPUS, CODE, FOREIGN], trainer)
    return str(tokenizer.to_str())


def llama2_tokenizer(*, legacy: bool = True) -> PreTrainedTokenizerFast:
    """Return one like Llama-2's: SentencePiece's BPE with ▁ for a space, and byte fallback.

    The legacy rule puts ▁ before every text between two control tokens, the
    other one only before a text that stands first.
    """
    learned = json.loads(_learned_on_letters())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += sorted(learned["vocab"], key=learned["vocab"].get)
    tokenizer = Tokenizer(
        models.BPE(
            {piece: id for id, piece in enumerate(pieces)},
            [tuple(merge) for merge in learned["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False) for piece in pieces[:3]])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=LLAMA2_TEMPLATE,
    )


@functools.cache
def _learned_on_letters() -> str:
    """On ASCII letters only: line ends and all others fall back to bytes, as in Llama-2."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    learner.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=240, show_progress=False))
    return str(learner.to_str())


def unigram_tokenizer() -> PreTrainedTokenizerFast:
    """Return one that splits text into `</s>` by itself, and reads `＜` as `<`, as T5's does."""
    letters = "▁abcdefghijklmnopqrstuvwxyz<>/"
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((letter, -5.0) for letter in letters)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
