"""What the model writes, and the settings, as a person sees it."""

from chat.core.sampling import Sampling
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import Visit, echo, expect

# What the model writes


def test_html_from_the_model_is_never_executed(serve: Serve, visit: Visit) -> None:
    attack = (
        "<script>document.title='hit'</script><img src=x onerror=\"document.title='hit'\">"
        "<svg onload=\"document.title='hit'\"></svg><a href=\"javascript:document.title='hit'\">"
        "link</a><iframe srcdoc=\"<script>parent.document.title='hit'</script>\"></iframe> end."
    )
    tab = visit(serve(ScriptedEngine(lambda _: attack)))
    tab.ask("Attack")
    expect(tab.replies).to_contain_text("end.")
    tab.replies.get_by_text("link").click()
    assert tab.page.title() == "Fourbit Chat"
    for danger in ("script", "iframe", "[onerror]", "[onload]", "[href^=javascript]"):
        expect(tab.replies.locator(danger)).to_have_count(0)


def test_code_keeps_its_indentation(serve: Serve, visit: Visit) -> None:
    code = "def f(x):\n    if x:\n        return x\n"
    engine = ScriptedEngine(lambda _: f"Here:\n\n```python\n{code}```")
    tab = visit(serve(engine))
    tab.ask("Code?")
    expect(tab.replies.locator("pre code")).to_have_text(code, use_inner_text=True)
    assert tab.replies.locator("pre code").inner_text() == code


def test_indentation_survives_into_the_next_prompt_and_the_box(serve: Serve, visit: Visit) -> None:
    code = "if a:\n    b()\n    c()"
    engine = ScriptedEngine(lambda _: code)
    tab = visit(serve(engine))
    tab.ask(code)
    tab.ask("Next")
    assert f"user: {code}\0assistant: {code}\0" in engine.prompts[1]
    tab.button("Undo").click()
    expect(tab.box).to_have_value("Next")
    tab.button("Undo").click()
    expect(tab.box).to_have_value(f"{code}\n\nNext")


def test_nothing_goes_to_another_host(serve: Serve, visit: Visit) -> None:
    pictures = (
        "![a](https://elsewhere.test/a.png) <img src='https://elsewhere.test/b.png'>"
        "<video src='https://elsewhere.test/c.mp4'></video>"
        "<p style='background: url(https://elsewhere.test/d.png)'>end.</p>"
    )
    tab = visit(serve(ScriptedEngine(lambda _: pictures)))
    tab.ask("Show me")
    expect(tab.replies).to_contain_text("end.")
    tab.page.get_by_role("button", name="Settings").click()
    expect(tab.page.get_by_label("System prompt")).to_be_visible()
    tab.page.wait_for_function("[...document.images].every(image => image.complete)")
    assert tab.elsewhere == []


# Settings


def test_settings_reach_the_engine(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.page.get_by_role("button", name="Settings").click()
    tab.page.get_by_role("button", name="More").click()
    values = {
        "Max new tokens": 5,
        "Temperature": 1.25,
        "Top-p": 0.5,
        "Top-k": 7,
        "Min-p": 0.25,
        "Repetition penalty": 1.5,
        "Seed": 9,
        "Min new tokens": 3,
    }
    for label, value in values.items():
        tab.setting(label, str(value))
    # Last, since an accordion that is still opening draws its contents anew.
    for label, text in (("System prompt", "Rhyme."), ("Stop strings", "one\ntwo")):
        field = tab.page.get_by_label(label)
        field.fill(text)
        field.press("Tab")
        expect(field).to_have_value(text)
    tab.send("Hi there")
    tab.settled("Cut off at the length limit: 5 tokens")
    used = engine.samplings[0]
    titles = {field.title: name for name, field in Sampling.model_fields.items()}
    assert {label: getattr(used, titles[label]) for label in values} == values
    assert used.stop == ("one", "two")
    assert engine.prompts[0].startswith("system: Rhyme.")
    tab.says("Hi there", "Re: H")
    tab.page.reload()
    tab.says("Hi there", "Re: H")
    tab.send("Again")
    tab.settled("Cut off at the length limit: 5 tokens")
    assert engine.samplings[1] == used


def test_a_setting_out_of_range_goes_to_its_end_where_it_can_be_seen(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.page.get_by_role("button", name="Settings").click()
    for label, value, used in (("Temperature", "9", "2"), ("Top-k", "-3", "0")):
        tab.setting(label, value)
        expect(tab.page.get_by_label(f"number input for {label}")).to_have_value(used)
    tab.ask("Hi")
    assert (engine.samplings[0].temperature, engine.samplings[0].top_k) == (2, 0)


def test_the_prompt_of_the_last_turn_can_be_looked_at(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    tab = visit(serve(engine))
    tab.ask("Hi")
    tab.ask("Next")
    tab.page.get_by_role("button", name="Settings").click()
    tab.page.get_by_role("button", name="Prompt").click()
    shown = tab.page.locator("#prompt textarea")
    fed = engine.prompts[-1].replace("\0", "|")
    expect(shown).to_have_value(fed)
    expect(tab.page.locator("#prompt")).to_contain_text(f"{len(fed):,} tokens")
    expect(shown).not_to_be_editable()
