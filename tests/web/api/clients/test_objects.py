"""Objects that clients ask the embedded model for, which it writes by the grammar."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from chat.load import load
from chat.settings import Settings
from chat.web import serve
from chat.web.page import page
from tests.support.ports import free_port
from tests.support.schemas import Everything
from tests.web.api.clients import needed

Word = Annotated[str, Field(max_length=8)]


class Colour(Enum):
    GREEN = "grün"
    RED = "rot"


class Animal(BaseModel):
    """Enums, literals and limits."""

    colour: Colour
    kind: Literal["cat", "dog"]
    age: int = Field(ge=1, le=30)
    weight: float = Field(gt=0, lt=90.5)
    name: Word


class Owner(BaseModel):
    """Models in models, maybe none, one of several."""

    pet: Animal
    other: Colour | None
    either: Literal[1] | bool | Word
    pets: list[Colour] = Field(min_length=1, max_length=2)


class Tree(BaseModel):
    """Models in themselves."""

    leaf: bool
    inside: list["Tree"] = Field(max_length=1)


class Pair(BaseModel):
    """Tuples and dictionaries."""

    place: tuple[int, Word]
    seen: dict[Literal["a", "b"], bool]


SHAPES: list[type[BaseModel]] = [Animal, Owner, Tree, Pair, Everything]
ASK: Any = [{"role": "user", "content": "Describe one."}]
BRIEF: Any = {"model": "m", "max_tokens": 400, "temperature": 0}


@pytest.fixture(scope="module")
def address(embedded_model: Path) -> Iterator[str]:
    settings = Settings(model="embedded", server_port=free_port(), strict_api=True, parallel=2)
    chat = load(settings)
    built = page.build(chat, settings)
    yield serve.launch(built, settings, block=False) + "v1"
    built.close()
    chat.engine.close()


@pytest.fixture
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_openai_parses_any(client: openai.OpenAI, shape: type[BaseModel]) -> None:
    reply = client.chat.completions.parse(messages=ASK, response_format=shape, **BRIEF)
    assert isinstance(reply.choices[0].message.parsed, shape)


def test_openai_parses_one_that_is_streamed(client: openai.OpenAI) -> None:
    asking = client.chat.completions.stream(messages=ASK, response_format=Animal, **BRIEF)
    with asking as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Animal)


@pytest.mark.parametrize("shape", [Animal, Pair])
def test_langchain_gets_one(address: str, shape: type[BaseModel]) -> None:
    langchain = needed("langchain_openai")
    chat = langchain.ChatOpenAI(base_url=address, api_key="none", max_retries=0, **BRIEF)
    assert isinstance(chat.with_structured_output(shape).invoke("Describe one."), shape)


@pytest.mark.parametrize("shape", [Animal, Pair])
def test_instructor_gets_one(client: openai.OpenAI, shape: type[BaseModel]) -> None:
    instructor = needed("instructor")
    filling = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
    found = filling.chat.completions.create(
        messages=ASK, response_model=shape, max_retries=0, **BRIEF
    )
    assert isinstance(found, shape)


@pytest.mark.parametrize("shape", [Animal, Pair])
async def test_pydantic_ai_gets_one(address: str, shape: type[BaseModel]) -> None:
    ai = needed("pydantic_ai")
    models = needed("pydantic_ai.models.openai")
    provider = needed("pydantic_ai.providers.openai").OpenAIProvider(address, api_key="none")
    model = models.OpenAIChatModel("m", provider=provider)
    agent = ai.Agent(model, output_type=ai.NativeOutput(shape), retries=0)
    ran = await agent.run("Describe one.", model_settings={"max_tokens": 400, "temperature": 0})
    assert isinstance(ran.output, shape)
