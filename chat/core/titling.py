"""A title that the model gives a conversation, when nobody else wants anything of it."""

from collections.abc import Sequence
from contextlib import aclosing

from chat.core.attached import split
from chat.core.chat import Chat
from chat.core.conversation import Conversation
from chat.core.sampling import Sampling
from chat.core.shares import asking
from chat.core.title import line
from chat.errors import ChatError
from prompts import Message

#: What it is asked, and how its reply begins: small models make a title of a message alone, and
#: go on with a conversation.
ASK, BEGUN = "Summarize in a title of two to five words: {said}", "Title:"
#: Tokens that it may take, and characters of what is no title any more.
TOKENS, LONGEST = 24, 60
#: Characters that the model sees of what is said.
SEEN = 1000
#: What models put around a title.
AROUND = " \t*_#\"'`“”„«»‘’.:"


async def written(chat: Chat, messages: Sequence[Message]) -> str:
    """Return a title for a conversation that begins with these messages, by what a user says.

    There is none if anybody else is answered or waits, or comes meanwhile, nor if the model
    says something that is none.
    """
    files, said = split(next((one.content for one in messages if one.role == "user"), ""))
    said = said.strip() or ", ".join(file.title for file in files)
    if chat.gate.size or chat.gate.places < 2 or not said:
        return ""
    sampling = Sampling(
        max_new_tokens=TOKENS,
        temperature=0.0,
        thinking="off" if chat.format.thoughts else "auto",
    )
    last = None
    asking.set(())  # nobody has asked, so that it is in nobody's share
    try:
        messages = [Message("user", ASK.format(said=said[:SEEN])), Message("assistant", BEGUN)]
        asked = Conversation(messages)
        async with aclosing(chat.reply(asked, sampling)) as updates:
            async for update in updates:
                if chat.gate.size > 1:
                    return ""
                last = update
    except ChatError:
        return ""
    first, *more = last.text.removeprefix(BEGUN).strip().split("\n") if last else [""]
    whole = more or (last and last.state == "finished")
    title = line(first.strip(AROUND).removeprefix(BEGUN).strip(AROUND))
    return title if whole and len(title) <= LONGEST else ""
