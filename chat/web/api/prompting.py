"""How a request is prompted: as the model chats, or with the tools that it offers.

A call that has to be made is begun in the prompt, and what follows is held to its schema; so
there is no thought before it, as with Anthropic. Where the name comes before the JSON, the
model first chooses one, and is then asked again.
"""

import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from chat.core.chat import Chat
from chat.core.conversation import Conversation
from chat.core.fitting import CHARACTERS_PER_TOKEN
from chat.core.sampling import Sampling
from chat.errors import BadRequest, TooLong
from chat.web.api.tools import Offer, check_length
from prompts import PromptError, Tooled
from prompts.formats.tooled import UNKNOWN
from prompts.marks import Thinking

#: What holds a whole reply, and so leaves no way to call something instead.
HOLDING = ("choices", "regex", "json_schema")
#: What could only break a call that is held to its schema, or write something around it.
FREE = {
    "choices": (),
    "regex": "",
    "json_schema": "",
    "stop": (),
    "min_new_tokens": 0,
    "thinking": "off",
}


def prompted(
    chat: Chat, offer: Offer | None, given: dict[str, Any], *, has_calls: bool
) -> tuple[Chat, dict[str, Any]]:
    """Return the chat that answers a request, and what `Sampling` is given for that.

    `has_calls` says whether something was called in it before.

    Raises:
        BadRequest: the model cannot be told of the tools, or not be held to calling one.
    """
    known = chat.tooled
    if not known:
        if offer:
            raise BadRequest(UNKNOWN, "tools")
        return chat, given
    if not offer:
        return (chat.prompting(known) if has_calls else chat), given
    try:
        check_length(offer, chat.engine.window)
        format = known.offering(offer.tools, parallel=offer.parallel)
        if offer.required:
            return _calling(chat, format, [tool.name for tool in offer.tools], given)
    except RecursionError:
        raise BadRequest("tools must not be nested so deeply.", "tools") from None
    if held := next((name for name in HOLDING if given.get(name)), None):
        title = Sampling.model_fields[held].title
        raise BadRequest(
            f"{title} holds the whole reply, so that no tool could be called; send one of the "
            "two, or tool_choice none or required.",
            held,
        )
    return chat.prompting(format), given


def _calling(
    chat: Chat, format: Tooled, names: list[str], given: dict[str, Any]
) -> tuple[Chat, dict[str, Any]]:
    try:
        format, ties = format.calling(names)
    except PromptError as error:
        raise BadRequest(str(error), "tool_choice") from None
    return chat.prompting(format), {**given, **FREE, **ties}


async def with_name_chosen(
    chat: Chat, conversation: Conversation, given: dict[str, Any]
) -> tuple[Chat, dict[str, Any]]:
    """Have the model choose the name of what it calls, if it has to; else return the same.

    Raises:
        RequestError, EngineError: see `Chat.reply`.
    """
    if not (isinstance(chat.format, Tooled) and chat.format.naming):
        return chat, given
    async with aclosing(chat.reply(conversation, Sampling.checked(**given))) as updates:
        async for update in updates:
            name = update.text
    # A name that the limit cut is the beginning of one.
    names = [one for one in given["choices"] if one.startswith(name)]
    return _calling(chat, chat.format, names[:1], given)


def with_options(chat: Chat, options: Mapping[str, Any], thinking: Thinking = "auto") -> Chat:
    """Return the chat whose template is told `options` besides, by the names that it has.

    Raises:
        BadRequest, TooLong: they cannot be told.
    """
    try:
        size, most = len(json.dumps(options)), chat.engine.window * CHARACTERS_PER_TOKEN
        if size > most:
            raise TooLong(
                f"Your chat_template_kwargs have {size:,} characters; the limit is {most:,}.",
                "chat_template_kwargs",
            )
        return chat.prompting(chat.format.asking(thinking, options))
    except RecursionError:
        sentence = "chat_template_kwargs must not be nested so deeply."
        raise BadRequest(sentence, "chat_template_kwargs") from None
