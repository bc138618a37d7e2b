"""`instructor`, which has a model fill a pydantic model."""

from collections.abc import Iterable

import openai
import pytest
from pydantic import BaseModel, Field

from tests.web.api.clients import HI, Server, needed

instructor = needed("instructor")


class Person(BaseModel):
    name: str
    age: int = Field(ge=0, le=150)


ANN = '{"name": "Ann", "age": 41}'
MODES = [instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA, instructor.Mode.MD_JSON]


@pytest.fixture(params=MODES, ids=lambda mode: mode.value)
def client(server: Server, request: pytest.FixtureRequest) -> object:
    to = openai.OpenAI(base_url=server[0], api_key="secret", max_retries=0)
    return instructor.from_openai(to, mode=request.param)


def test_it_gets_an_object(client, server: Server) -> None:
    server[1].script = lambda prompt: ANN
    found = client.chat.completions.create(model="m", messages=HI, response_model=Person)
    assert (found.name, found.age) == ("Ann", 41)


def test_it_asks_again_for_what_does_not_fit(client, server: Server) -> None:
    replies = iter(['{"name": "Ann", "age": 999}', ANN])
    server[1].script = lambda prompt: next(replies)
    found = client.chat.completions.create(
        model="m", messages=HI, response_model=Person, max_retries=2
    )
    assert (found.name, found.age) == ("Ann", 41)
    assert "999" in server[1].prompts[1]


def test_it_streams_an_object_as_it_grows(client, server: Server) -> None:
    server[1].script = lambda prompt: ANN
    *_, last = client.chat.completions.create_partial(model="m", messages=HI, response_model=Person)
    assert (last.name, last.age) == ("Ann", 41)


def test_it_streams_several_objects(client, server: Server) -> None:
    server[1].script = lambda prompt: f'{{"tasks": [{ANN}, {ANN}]}}'
    found = client.chat.completions.create(
        model="m", messages=HI, response_model=Iterable[Person], stream=True
    )
    assert list(found) == [Person(name="Ann", age=41)] * 2


async def test_it_does_so_without_a_thread(server: Server) -> None:
    server[1].script = lambda prompt: ANN
    to = openai.AsyncOpenAI(base_url=server[0], api_key="secret", max_retries=0)
    client = instructor.from_openai(to, mode=instructor.Mode.JSON_SCHEMA)
    found = await client.chat.completions.create(model="m", messages=HI, response_model=Person)
    assert (found.name, found.age) == ("Ann", 41)
