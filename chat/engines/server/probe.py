"""Which server there is, what it runs, and whether its tokens are ours.

A server that is another one than it seems would ignore controls in silence, and one with another
tokenizer would read something else than was written. So what is asked at the start has to prove
both: a text with control tokens in it, whose ids come back. It is asked again where the server
may have become another one.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any, NamedTuple

import httpx2

from chat.core.sampling import OPTIONAL
from chat.engines.server.connection import CONNECT, SILENCE, Connection
from chat.engines.server.dialect import Dialect, count
from chat.engines.server.llama_cpp import LlamaCpp
from chat.engines.server.vllm import VLLM, Ours, SGLang
from chat.errors import ModelError

#: Seconds for which a server may still be starting, since it may have a model to fetch and to
#: load first, and between two looks.
PATIENCE, LOOK = 600.0, 1.0
#: What is answered for a server that is not there yet: by nobody, by itself, by what is before it.
STARTING = (0, 429, 502, 503, 504)
#: Text after all control tokens: words, numbers, letters of more than a byte, white space.
SENTENCE = "It's 3,142 °C in Zürich, 東京 and  here 🙂\n"
#: Most control tokens that are asked about.
MOST = 2000

#: Who is known, as they name themselves.
KINDS = ("vllm", "sglang", "llamacpp", "fourbit")
#: Who refuses a model that is not there, instead of taking another one.
REFUSING = ("vllm", "fourbit")

NO_IDS = (
    "This server gives no token ids: it would take control tokens that somebody types for real "
    "ones. Choose vLLM (0.10.2 or later), SGLang, llama.cpp's server or python -m chat.backend."
)
UNKNOWN = (
    "It is not known what kind of server this is, so that it might ignore controls; there are "
    "vLLM, SGLang, llama.cpp's server and python -m chat.backend."
)


class Away(ModelError):
    """Nobody answers, or not yet, or not in a way that tells which model there is."""


class Full(Away):
    """It is there, and its line is full, so that it has no place for a question either."""


class Served(NamedTuple):
    """What a server runs."""

    #: One of `KINDS`.
    kind: str
    #: The name to ask for it by.
    model: str
    #: The name of the model as it was trained, if the server says that.
    root: str
    #: Most tokens of prompt and reply.
    window: int
    #: What its adapters are called, each with the name to ask for it by; the default one first.
    adapters: dict[str, str]
    #: What a backend of this app says of itself: which controls it obeys, the ids that end its
    #: replies, and what the model's authors have set for generation.
    supports: frozenset[str]
    stop_ids: frozenset[int]
    generation: Mapping[str, Any]
    #: How many replies it writes at once, if it says that; others wait there in silence.
    slots: int | None = None


class Same:
    """Tells whether what answers is still what it was at the start, with the tokens that it had."""

    def __init__(self, connection: Connection, found: Served, tokenizer: Any) -> None:
        self._connection = connection
        self._found = self._last = found
        self._tokenizer = tokenizer

    def __call__(self, *, doubted: bool) -> bool | None:
        """Return whether it is, or None where it takes no prompt that could tell.

        Its tokens are asked for where it is doubted, or says something else of itself.

        Raises:
            Away: it does not answer now.
        """
        try:
            now = served(self._connection, self._found.model, patience=0)
        except Away:
            raise
        except ModelError:
            return False
        if now.kind == self._found.kind in REFUSING and now.model != self._found.model:
            raise Away(f"The server at {self._connection.url} does not list the model any more.")
        if (now.kind, now.model) != (self._found.kind, self._found.model):
            return False
        if doubted or now != self._last:
            try:
                dialect(self._connection, now, self._tokenizer, patience=0)
            except Away:
                return None
            except ModelError:
                return False
        self._last = now
        return True


def served(connection: Connection, model: str = "", patience: float | None = None) -> Served:
    """Return what a server runs; of several models the one called `model`, or else the first.

    It is waited for while it is starting, for `patience` seconds.

    Raises:
        Away: it is not there, or has no model.
        ModelError: it gives no ids, or it is not known what it obeys.
    """
    status, listed = _answer(connection, "/v1/models", patience=patience)
    models = listed.get("data") if isinstance(listed, dict) else None
    models = models if isinstance(models, list) else []
    models = [one for one in models if isinstance(one, dict) and _text(one, "id")]
    bases = [one for one in models if not _text(one, "parent")]
    if not bases:
        raise Away(f"The server at {connection.url} lists no model (HTTP {status}).")
    facts = next((one for one in bases if one["id"] == model), bases[0])
    kind, model, root = _text(facts, "owned_by"), facts["id"], _text(facts, "root")
    if kind not in KINDS:
        _, choice = _completed(connection, model, SENTENCE, patience)
        raise ModelError(UNKNOWN if choice.get("token_ids") else NO_IDS)
    window, slots = facts.get("max_model_len"), None
    if kind == "llamacpp":
        window, slots, root = _props(_answer(connection, "/props", patience=patience)[1])
    names = [one["id"] for one in models if _text(one, "parent") == model]
    adapters = {name.removeprefix(f"{model}:"): name for name in names}
    if adapters and kind != "fourbit":  # whose default one has no name
        adapters = {"none": model, **adapters}
    own = facts if kind == "fourbit" else {}
    generation = own.get("generation")
    return Served(
        kind,
        model,
        root,
        window if type(window) is int else sys.maxsize,
        adapters,
        frozenset(name for name in OPTIONAL if name in _list(own, "supports")),
        frozenset(id for id in _list(own, "stop_token_ids") if type(id) is int),
        generation if isinstance(generation, dict) else {},
        count(slots) or None,
    )


def dialect(
    connection: Connection, found: Served, tokenizer: Any, patience: float | None = None
) -> Dialect:
    """Return how to ask a server, once it is proved that its tokens are those of `tokenizer`.

    Raises:
        Away: it is not there, or takes nothing for `patience` seconds.
        ModelError: they are not, or it gives no ids.
    """
    backend = tokenizer.backend_tokenizer
    text = _text_to_encode(tokenizer, found.window)
    right = [backend.encode(text, add_special_tokens=False).ids]
    if found.kind == "llamacpp":
        asked = {"content": text, "add_special": False, "parse_special": True}
        said = _answer(connection, "/tokenize", asked, patience)[1]
        _require(said.get("tokens") if isinstance(said, dict) else None, right)
        return LlamaCpp(backend, found.window)
    if found.kind == "sglang":  # which adds what begins a text, whatever it is asked
        right.append(backend.encode(text).ids)
    # One of ours adds nothing, and refuses what it does not know.
    more = {} if found.kind == "fourbit" else {"add_special_tokens": False}
    status, choice = _completed(connection, found.model, text, patience, **more)
    if status != 200:
        raise Away(f"The server at {connection.url} refuses a short prompt (HTTP {status}).")
    _require(choice.get("prompt_token_ids") if choice.get("token_ids") else None, right)
    if found.kind == "fourbit":
        return Ours(found.supports)
    if found.kind == "sglang":
        return SGLang()
    grammar = {"structured_outputs": {"grammar": 'root ::= "a"'}}
    status, _ = _completed(connection, found.model, text, patience, **more, **grammar)
    return VLLM(grammars=status == 200)


def _text_to_encode(tokenizer: Any, window: int) -> str:
    """Return a text with all control tokens, or as many as fit half of the window."""
    controls = [token.content for token in tokenizer.added_tokens_decoder.values()]
    return "".join(controls[: max(0, min(MOST, window // 2 - len(SENTENCE)))]) + SENTENCE


def _require(theirs: Any, right: list[list[int]]) -> None:
    """Raise ModelError unless a server has given the right ids."""
    if not isinstance(theirs, list):
        raise ModelError(NO_IDS)
    if theirs not in right:
        raise ModelError(
            "The server's tokenizer is not that of the model named here; name the model that it "
            "runs with --model."
        )


def _answer(
    connection: Connection,
    path: str,
    body: Mapping[str, Any] | None = None,
    patience: float | None = None,
) -> tuple[int, Any]:
    """Return the status and the JSON of what a server answers, once it has started."""
    begin, told = time.monotonic(), False
    patience = PATIENCE if patience is None else patience
    while True:
        status, said = 0, None
        with suppress(httpx2.TransportError):
            status, said = connection.ask(path, body, min(SILENCE, max(CONNECT, patience)))
        if status in (401, 403):
            raise Away(
                f"The server at {connection.url} does not accept the key; set it with "
                "--server-key, or better as CHAT_SERVER_KEY."
            )
        if status not in STARTING:
            return status, said
        if time.monotonic() - begin >= patience:
            raise (Full if status == 429 else Away)(
                f"The server at {connection.url} cannot be reached, or is still starting; check "
                "--server-url, and whether it runs."
            )
        if not told:
            print(
                f"Waiting for the server at {connection.url}, for {patience / 60:.0f} minutes at "
                "the most",
                flush=True,
            )
            told = True
        time.sleep(LOOK)


def _props(said: Any) -> tuple[Any, Any, str]:
    """Return window, slots and the model's name by what llama.cpp's server says of itself."""
    props = said if isinstance(said, dict) else {}
    settings = props.get("default_generation_settings")
    window = settings.get("n_ctx") if isinstance(settings, dict) else None
    return window, props.get("total_slots"), PurePath(_text(props, "model_path")).stem


def _completed(
    connection: Connection, model: str, text: str, patience: float | None, **more: Any
) -> tuple[int, Mapping[str, Any]]:
    """Return the status and the choice of an answer to a text, if there is one."""
    asked = {"model": model, "prompt": text, "max_tokens": 1, "return_token_ids": True, **more}
    status, said = _answer(connection, "/v1/completions", asked, patience)
    choices = said.get("choices") if isinstance(said, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return status, {}
    return status, choices[0]


def _text(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def _list(facts: Mapping[str, Any], name: str) -> list[Any]:
    value = facts.get(name)
    return value if isinstance(value, list) else []
