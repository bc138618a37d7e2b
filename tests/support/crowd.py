"""Sixteen people at one server at once, who come three ways: the page, Gradio's client, openai."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gradio_client import Client
from openai import AsyncOpenAI

from benchmarks.client import Tab, config

SIZE = 16
#: Says a message of a conversation, with the values of some controls; gives the reply.
Say = Callable[..., Awaitable[str]]
LABELS = {"regex": "Regular expression", "max_new_tokens": "Max new tokens"}


@asynccontextmanager
async def crowd(url: str) -> AsyncGenerator[list[Say]]:
    """Have them come, each with a conversation of their own, and leave at the end of the block."""
    async with AsyncExitStack() as leaving:
        page = await config(url)
        ways = (_at_page, _with_gradio, _with_openai, _with_openai_streaming)
        people = [await ways[number % 4](url, page, leaving) for number in range(SIZE)]
        yield people


async def _at_page(url: str, page: dict[str, Any], leaving: AsyncExitStack) -> Say:
    tab = Tab(url, page)
    leaving.callback(tab.close)
    await tab.open()

    async def say(message: str, **controls: Any) -> str:
        for name, value in controls.items():
            tab.set(LABELS[name], value)
        return (await tab.send(message)).text

    return say


async def _with_gradio(url: str, page: dict[str, Any], leaving: AsyncExitStack) -> Say:
    client = await asyncio.to_thread(Client, url, verbose=False, analytics_enabled=False)
    leaving.callback(client.close)

    async def say(message: str, **controls: Any) -> str:
        reply, _ = await asyncio.to_thread(client.predict, message, **controls, api_name="/chat")
        return str(reply)

    return say


async def _with_openai(url: str, page: dict[str, Any], leaving: AsyncExitStack) -> Say:
    client = AsyncOpenAI(base_url=f"{url}v1", api_key="none", max_retries=0)
    await leaving.enter_async_context(client)
    messages: Any = []

    async def say(message: str, **controls: Any) -> str:
        messages.append({"role": "user", "content": message})
        answer = await client.chat.completions.create(
            model="any", messages=messages, extra_body=controls
        )
        messages.append(answer.choices[0].message)
        return answer.choices[0].message.content or ""

    return say


async def _with_openai_streaming(url: str, page: dict[str, Any], leaving: AsyncExitStack) -> Say:
    client = AsyncOpenAI(base_url=f"{url}v1", api_key="none", max_retries=0)
    await leaving.enter_async_context(client)
    messages: Any = []

    async def say(message: str, **controls: Any) -> str:
        messages.append({"role": "user", "content": message})
        chunks = await client.chat.completions.create(
            model="any", messages=messages, stream=True, extra_body=controls
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
        messages.append({"role": "assistant", "content": text})
        return text

    return say
