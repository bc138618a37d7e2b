"""prompts.renderer: chat templates of anyone's, in a process with limits."""

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

import prompts
from prompts import Message, PromptError, renderer
from prompts.encoder import Encoder
from prompts.formats.template import Template
from prompts.renderer import Refused, Renderer, TooMuch
from prompts.taint import Tainted, taint
from tests.support.tiny import chatml_tokenizer

TOO_MUCH = r"^This model's chat template takes too much time or memory\.$"
HELLO = "{% for message in messages %}{{ message.content }}{% endfor %}"
#: Each of these is short, and would never end, or take gigabytes.
ENDLESS = {
    "loops": "{% for i in range(99999) %}" * 4 + "{% endfor %}" * 4,
    "sorted out": "{% for i in range(99999) if not range(99999)|select('none')|list %}{% endfor %}",
    "macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
    "{{ m(60) }}",
    "recursive loops": "{% for i in [60] recursive %}{{ loop([i - 1, i - 1]) if i }}{% endfor %}",
    "blocks": "{% block a %}{% set n = n or 0 %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "powers": "{{ 10 ** (10 ** 10) }}",
    "digits": "{{ 1 | round(10 ** 9, 'ceil') }}",
    "lists of lists": "{% set n = namespace(a=[1]) %}{% for i in range(60) %}"
    "{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}",
    "lists compared": "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}"
    "{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}",
    "tuples as keys": "{% set n = namespace(a=(1,)) %}{% for i in range(60) %}"
    "{% set n.a = (n.a, n.a) %}{% endfor %}{{ {n.a: 1} }}",
    "letters": "{{ 'a' * 10 ** 10 }}",
    "doubling": "{% set n = namespace(a='a') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}"
    "{% endfor %}",
    "widths": "{{ '%*d' % (10 ** 9, 1) }}" * 3,
    "forms": "{{ '{:>9999999999}'.format(1) }}",
    "centers": "{{ 'a' | center(10 ** 10) }}",
    "dummy text": "{{ lipsum(n=10 ** 9) }}",
    "indented JSON": "{{ [[1]] | tojson(indent=10 ** 10) }}",
    "batches": "{{ [1] | batch(10 ** 10, 1) | list }}",
    "whatever is said": "{% for m in messages %}{{ m.content * 10 ** 9 }}{% endfor %}",
}
UNREADABLE = {
    "loops in loops": "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
    "conditions": "{% if 1 %}" * 5000 + "{% endif %}" * 5000,
    "brackets": "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
    "lists": "{{ " + "[" * 3000 + "]" * 3000 + " }}",
    "signs": "{{ " + "-" * 100_000 + "1 }}",
    "filters": "{{ 1" + "|abs" * 100_000 + " }}",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a process of this test's, which may take a moment for a prompt."""
    monkeypatch.setattr(renderer, "SECONDS", 0.3)
    renderer.end()
    renderer.renderer.cache_clear()
    yield
    renderer.renderer.cache_clear()
    renderer.end()


def given(text: str = "Hi") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": taint(text, "user")}]}


def tokenizer(template: str) -> Any:
    made = chatml_tokenizer()
    made.chat_template = template
    return made


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_is_ended_and_the_next_template_is_rendered(source: str) -> None:
    begun = time.monotonic()
    with pytest.raises((Refused, TooMuch)) as caught:
        print(Renderer(source).render(given())[:100])
    assert time.monotonic() - begun < 20
    assert "\n" not in str(caught.value)
    assert Tainted(Renderer(HELLO).render(given("Hello"))).bare == "Hello"


@pytest.mark.parametrize("source", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_nested_without_end_is_refused_or_rendered(source: str) -> None:
    with suppress(PromptError, Refused):
        Renderer(source).render(given())
    assert Tainted(Renderer(HELLO).render(given("Hello"))).bare == "Hello"


def test_a_template_that_never_ends_is_no_format() -> None:
    begun = time.monotonic()
    for name in ("auto", "template"):
        with pytest.raises(PromptError, match=TOO_MUCH):
            prompts.choose(tokenizer(ENDLESS["loops"]), name)
    assert time.monotonic() - begun < 20


def test_nor_is_one_that_ends_for_some_conversations_alone() -> None:
    sometimes = HELLO + "{% if messages | length == 3 %}" + ENDLESS["loops"] + "{% endif %}"
    with pytest.raises(PromptError, match=TOO_MUCH):
        Template(tokenizer(sometimes))


def test_a_message_on_which_it_never_ends_is_refused_and_no_other() -> None:
    waits = "{% if 'wait' in messages[-1].content %}" + ENDLESS["loops"] + "{% endif %}" + HELLO
    format = Template(tokenizer(waits))
    for _ in range(2):
        with pytest.raises(PromptError, match=TOO_MUCH):
            format.pieces([Message("user", "Please wait.")])
        assert format.pieces([Message("user", "Hi")])


def rendering() -> psutil.Process:
    """Return the process that renders."""
    [process] = [one for one in psutil.Process().children() if "prompts.renderer" in one.cmdline()]
    return process


def test_a_process_that_stands_still_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "PATIENCE", 1.0)
    made = Renderer(HELLO)
    process = rendering()
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(TooMuch):
        made.render(given("a" * 10_000_000))
    assert not psutil.pid_exists(process.pid)
    assert Tainted(made.render(given())).bare == "Hi"


def test_one_that_somebody_ended_is_replaced_before_anybody_notices() -> None:
    made = Renderer(HELLO)
    process = rendering()
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert Tainted(made.render(given())).bare == "Hi"


def test_it_knows_no_secret_and_what_time_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "CHAT_AUTH", "DATABASE_URL"):
        monkeypatch.setenv(name, "my secret")
    monkeypatch.setenv("TZ", "UTC")
    Renderer(HELLO)
    process = renderer._process._process
    assert process
    environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"my secret" not in environment
    assert b"TZ=UTC" in environment


def test_who_wrote_what_is_still_known() -> None:
    made = Renderer("<s>" + HELLO + "</s>").render(given("\ud800 a\n"))
    assert list(Tainted(made).runs()) == [(None, 0, 3), ("user", 3, 7), (None, 7, 11)]


def test_what_is_too_long_for_a_prompt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "SECONDS", 20.0)
    with pytest.raises(TooMuch):
        Renderer("{{ 'a' * 40000000 }}").render(given())


def test_what_takes_too_much_memory_is_refused_though_it_is_soon_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renderer, "SECONDS", 20.0)
    with pytest.raises(TooMuch):
        Renderer("{{ ('a' * 1100000000) | length }}").render(given())


def test_a_text_on_which_a_tokenizer_dies_is_refused() -> None:
    made = chatml_tokenizer()
    made.backend_tokenizer.pre_tokenizer = Split(Regex("(x+)+y"), "isolated")
    encoder = Encoder(made)
    with pytest.raises(PromptError, match=r"^This model's tokenizer cannot read this text\.$"):
        encoder.encode(["x" * 20_000])
    assert encoder.encode(["Hi"])
