"""A window into a prompt: what a model really reads.

    echo '[{"role": "user", "content": "Hi"}]' | python -m prompts chatml

prints the prompt with its control tokens visible; with `--tokenizer FOLDER`,
the ids as one JSON list.
"""

import argparse
import json
import sys
from typing import Any

from prompts import FORMATS, choose, templates
from prompts.base import Message, PromptError, visible
from prompts.encoder import Encoder
from prompts.unicode import decode


def main(arguments: list[str]) -> None:
    """Read messages from standard input and print their prompt."""
    parser = argparse.ArgumentParser(
        prog="python -m prompts",
        description="Read a JSON list of messages ({role, content}) and print their prompt.",
    )
    parser.add_argument("format", help=f"auto or one of: {', '.join(FORMATS)}")
    parser.add_argument("--tokenizer", metavar="FOLDER", help="print the ids of this tokenizer")
    parser.add_argument(
        "--chat-template", metavar="NAME", help="with --tokenizer, one of its templates, or a file"
    )
    chosen = parser.parse_args(arguments)
    try:
        tokenizer = _load(chosen.tokenizer) if chosen.tokenizer else None
        if chosen.chat_template:
            if not tokenizer or chosen.format not in ("auto", "template"):
                raise PromptError("--chat-template goes with the format template and --tokenizer.")
            templates.use(tokenizer, chosen.chat_template)
            chosen.format = "template"
        pieces = choose(tokenizer, chosen.format).pieces(_messages(sys.stdin.buffer.read()))
        if tokenizer is None:
            print("".join(map(visible, pieces)))
        else:
            print(json.dumps(Encoder(tokenizer).encode(pieces)))
    except PromptError as error:
        sys.exit(f"prompts: {error}")


def _load(folder: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of several libraries, for as many reasons
        raise PromptError(f"{folder} holds no tokenizer that can be read.") from error


def _messages(data: bytes) -> list[Message]:
    try:
        entries = json.loads(decode(data))
        json.dumps(entries, ensure_ascii=False).encode()  # no half of a character anywhere
    except (ValueError, RecursionError):
        raise PromptError("Standard input is not JSON in UTF-8.") from None
    if not isinstance(entries, list):
        raise PromptError("Standard input must be a JSON list of messages.")
    messages = []
    for position, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not {"role", "content"} <= entry.keys():
            raise PromptError(f"Message {position} is not an object with a role and a content.")
        messages.append(Message(entry["role"], entry["content"]))
    return messages


if __name__ == "__main__":
    main(sys.argv[1:])
