"""The benchmarks' client: what people write arrives, and replies come back whole."""

import asyncio
import copy
import os
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import gradio.utils
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import api, baseline, drawn, load
from benchmarks.client import UNDER_WAY, ReplyError, Tab, config
from benchmarks.load import Door, Job, Person
from benchmarks.session import changed
from benchmarks.wire import Wire
from chat.settings import Settings
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, last_message
from tests.support.ports import free_port
from tests.support.tiny import chatml_tokenizer

GREEDY = {"Temperature": 0, "Repetition penalty": 1.05}
TALK = "Grüße, 世界 🙂\n\n```python\n    indented\n```\n\n" + "word " * 40 + "end"


def job(url: str, *people: Person, door: str = "page") -> Job:
    return Job(Door(url if door == "page" else api.base(url), os.getpid(), door), list(people))


async def test_replies_of_people_who_write_at_once_come_back_whole(serve: Serve) -> None:
    url = serve(ScriptedEngine(lambda prompt: f"{TALK} {last_message(prompt)}", pace=0.002))
    people = [Person(["one", "two"]), Person(["three"])]
    came = await load.run(job(url, *people))
    for person, turns in zip(people, came.turns, strict=True):
        assert [turn.text for turn in turns] == [f"{TALK} {said}" for said in person.messages]
        for turn in turns:
            times, lengths = zip(*turn.updates, strict=True)
            assert turn.sent < times[0]
            assert len(times) > 2
            assert list(times) == sorted(times)
            assert list(lengths) == sorted(lengths)
            assert lengths[-1] == len(turn.text)
            assert turn.settled > times[-1]


async def test_a_conversation_grows_as_in_a_browser(serve: Serve) -> None:
    engine = ScriptedEngine(lambda prompt: f"Reply {prompt.count('user: ')}")
    await load.run(job(serve(engine), Person(["first", "second", "third"])))
    assert engine.prompts[-1].split("|")[-1].count("assistant: ") >= 1
    for said in ("first", "Reply 1", "second", "Reply 2", "third"):
        assert said in engine.prompts[-1]


async def test_controls_are_moved_by_their_labels(serve: Serve) -> None:
    engine = ScriptedEngine(lambda _: TALK)
    person = Person(["Hello"], {"Max new tokens": 7, "Seed": 3})
    ((turn,),) = (await load.run(job(serve(engine), person))).turns
    assert turn.text == TALK[:7].rstrip()
    assert engine.samplings[-1].max_new_tokens == 7
    assert engine.samplings[-1].seed == 3
    assert engine.samplings[-1].temperature == Settings().temperature


@pytest.mark.parametrize("door", load.DOORS)
async def test_one_who_comes_after_another_writes_once_that_reply_is_under_way(
    door: str, serve: Serve
) -> None:
    engine = ScriptedEngine(lambda _: TALK, pace=0.005)
    people = Person(["Talk"]), Person(["Hello"], after=0)
    (first,), (second,) = (await load.run(job(serve(engine), *people, door=door))).turns
    assert first.updates[UNDER_WAY - 1][0] <= second.sent < first.updates[-1][0]


async def test_one_who_comes_after_a_short_reply_does_not_wait_for_ever(serve: Serve) -> None:
    url = serve(ScriptedEngine(lambda _: "Yes."))
    _, (second,) = (await load.run(job(url, Person(["Hi"]), Person(["Hello"], after=0)))).turns
    assert second.text == "Yes."


async def test_a_message_without_an_answer_is_an_error_that_says_why(serve: Serve) -> None:
    url = serve(ScriptedEngine())
    with pytest.raises(ReplyError, match="write a message first"):
        await load.run(job(url, Person([" "])))
    with pytest.raises(ReplyError, match="Max new tokens"):
        await load.run(job(url, Person(["Hello"], {"Max new tokens": -1})))


async def test_a_server_that_goes_away_is_an_error() -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(leave, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await config(f"http://127.0.0.1:{port}")


@pytest.fixture(name="launch")
def _launch() -> Iterator[Callable[[gr.Blocks], str]]:
    pages = []

    def launch(page: gr.Blocks) -> str:
        pages.append(page)
        port = free_port()
        return str(page.launch(prevent_thread_lock=True, quiet=True, server_port=port)[1])

    yield launch
    for page in pages:
        page.close()


async def test_the_same_client_drives_gradios_own_chat(
    launch: Callable[[gr.Blocks], str],
) -> None:
    def respond(message: str, history: list[Any], shout: bool) -> Iterator[str]:
        for end in range(1, 20):
            yield f"{len(history)} {message.upper() if shout else message}"[:end]

    shout = gr.Checkbox(label="Shout")
    url = launch(gr.ChatInterface(respond, additional_inputs=[shout]))
    ((first, second),) = (await load.run(job(url, Person(["one", "two"], {"Shout": True})))).turns
    assert first.text == "0 ONE"
    assert second.text == "2 TWO"
    assert len(first.updates) > 2


async def test_an_error_in_gradios_own_chat_is_told(launch: Callable[[gr.Blocks], str]) -> None:
    def respond(message: str, history: list[Any]) -> Iterator[str]:
        yield "so far"
        raise gr.Error("No more paper.", print_exception=False)

    tab = Tab(url := launch(gr.ChatInterface(respond)), await config(url))
    with pytest.raises(ReplyError, match=r"No more paper\."):
        await tab.send("Hello")
    tab.close()


async def test_a_connection_is_there_early_and_serves_one_stream_after_another() -> None:
    came = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            event = b"id: 7\r\nevent: part\r\ndata: 1\r\n\r\n: a comment\ndata: 2\n\n"
            size = f"{len(event):x}".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(size + b"\r\n" + event + b"\r\n0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        wire = Wire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await wire.connect()
        for _ in range(2):
            assert [event async for event in wire.events("/")] == [1, 2]
        wire.close()
    assert came == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(at_once: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        if not at_once:
            await reader.readuntil(b"\r\n\r\n")  # the next request, left unanswered
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        wire = Wire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(3):
            assert await wire.json("/") == (200, {})
        wire.close()


def test_a_load_in_its_own_process_brings_back_texts_and_cpu_times(serve: Serve) -> None:
    url = serve(ScriptedEngine(lambda _: TALK, pace=0.001))
    came = load.start(job(url, Person(["Hello"])))
    assert came.turns[0][0].text == TALK
    assert 0 < came.client_cpu < 5
    assert came.server_cpu > 0


def test_a_load_that_fails_says_what_the_page_said(serve: Serve) -> None:
    with pytest.raises(RuntimeError, match="write a message first"):
        load.start(job(serve(ScriptedEngine()), Person([" "])))


async def test_the_plain_design_streams_what_its_model_writes(
    launch: Callable[[gr.Blocks], str],
) -> None:
    tokenizer = chatml_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": len(tokenizer)}
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, eos_token_id=None, bos_token_id=None))
    model.generation_config.pad_token_id = 0
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    inputs = baseline.prompt(tokenizer, model, messages)
    written = model.generate(**inputs, **baseline.options(120, 120, 0, 0.9, 50, 0, 1.05))
    expected = tokenizer.decode(
        written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )

    url = launch(baseline.build(tokenizer, model, Settings(system_prompt="Be brief.")))
    person = Person(["Hello"], {**drawn.controls(120), "System prompt": "Be brief.", **GREEDY})
    first, second = (await load.run(job(url, person, person))).turns
    assert first[0].text.split() == expected.split()
    assert second[0].text == first[0].text
    assert len(first[0].updates) > 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["Hel"], ["Hello"]),
        (["Hello"], [None]),
        ([[{"role": "user"}]], [[{"role": "user"}, {"role": "assistant", "content": ["a"]}]]),
        ([[1, 2, 3, 4]], [[1]]),
        ([{"a": {"b": "x"}, "c": 1}], [{"a": {"b": "xy"}, "d": [2]}]),
        (["same", {"__type__": "update"}], ["same", {"__type__": "update", "value": "v"}]),
    ],
)
def test_the_differences_that_gradio_sends_give_what_it_shows(old: Any, new: Any) -> None:
    differences = [gradio.utils.diff(*pair) for pair in zip(old, new, strict=True)]
    assert changed(copy.deepcopy(old), differences) == new
