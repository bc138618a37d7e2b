"""A title that the model gives a conversation, when nobody else wants anything of it."""

from collections.abc import Sequence
from contextlib import aclosing

from chat.core.chat import Chat
from chat.core.conversation import Conversation
from chat.core.sampling import Sampling
from chat.core.shares import asking
from chat.core.title import line
from chat.errors import ChatError
from prompts import Message

ASK = "What is a title of two to five words for this conversation? Answer with the title alone."
#: Tokens that it may take, and characters of what is no title any more.
TOKENS, LONGEST = 24, 60
#: Characters of each message that the model sees of it.
SEEN = 1500
#: What models put around a title.
AROUND = " \t*_#\"'`“”„«»‘’.:"


async def written(chat: Chat, messages: Sequence[Message]) -> str:
    """Return a title for a conversation that begins with these messages.

    There is none if anybody else is answered or waits, or comes meanwhile, nor if the model
    says something that is none.
    """
    if chat.gate.size:
        return ""
    seen = [Message(one.role, one.content[:SEEN]) for one in messages]
    sampling = Sampling(
        max_new_tokens=TOKENS,
        temperature=0.0,
        thinking="off" if chat.format.thoughts else "auto",
    )
    text = ""
    asking.set(())  # nobody has asked, so that it is in nobody's share
    try:
        asked = Conversation([*seen, Message("user", ASK)])
        async with aclosing(chat.reply(asked, sampling)) as updates:
            async for update in updates:
                if chat.gate.size > 1:
                    return ""
                text = update.text
    except ChatError:
        return ""
    said = text.strip().split("\n")[0]
    title = line(said.strip(AROUND).removeprefix("Title:").strip(AROUND))
    return title if len(title) <= LONGEST else ""
