"""What people and models write, as a browser shows it."""

import random
import re

from playwright.sync_api import expect

from chat.settings import Settings
from chat.web import serve
from chat.web.page import page
from chat.web.page.history import entry
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, chat_with
from tests.support.tab import TALK, Visit

HTML = "<b>bold</b> <div>block</div> <img src=x onerror=document.title='hacked'> <think>hm</think>"
CODE = "```html\n<b>code</b> <!-- and a comment -->\n```"
PARTS = ["```", "~~~", "````", "   ", " ", "- ", "1. ", "> ", "$$", "\\[", "\\]", "\n", "\n\n"]
PARTS += ["<b>x</b>", "<b>x</b>", "<b>", "x", "`", "\t", "| a |", "# "]
#: With fences that look closed, or open, and are not.
TRAPS = ["\t\n", "\u00a0\n", "\x0b\n", "\n\t", "\n$$\n```\n\n$$\n```\n$$"]
TRAPS = [f"```\na\n```{trap}```\n<b>x</b>\n```\n<b>x</b>" for trap in TRAPS]
TRAPS += ["```\na\r```\r<b>x</b>", "```\na\n```\t\nb\n```\n<b>x</b>"]


def test_html_is_text_and_code_is_code(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(lambda prompt: f"{HTML} and 1 < 2\n\n{CODE}\n\n{HTML}")))
    tab.ask(HTML)
    for message in (tab.messages, tab.replies):
        assert HTML in message.text_content().replace("\u2060", "")
        assert message.locator("b, div.block, img, think").count() == 0
    assert "1 < 2" in tab.replies.text_content()
    code = tab.replies.locator("pre code")
    expect(code).to_contain_text("<b>code</b> <!-- and a comment -->")
    expect(code.locator(".token.tag").first).to_have_text("<b>")
    assert tab.page.title() == "Fourbit Chat"


def test_html_is_text_while_it_is_written_too(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(lambda prompt: f"{HTML} {TALK}", pace=0.01)))
    tab.send("Hi")
    expect(tab.replies).to_contain_text("word3")
    assert tab.replies.locator("b").count() == 0
    tab.stop_button.click()
    tab.settled("Stopped:")


def test_the_model_reads_what_was_written_and_so_does_who_copies_it(
    serve: Serve,
    visit: Visit,
) -> None:
    engine = ScriptedEngine(lambda prompt: HTML)
    tab = visit(serve(engine))
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.ask(HTML)
    tab.ask("more")
    tab.button("Edit").first.click()
    tab.button("Submit").click()
    expect(tab.messages).to_have_count(1)
    tab.settled("Finished:")
    assert len(engine.prompts) == 3
    tab.button("Retry").click()
    tab.settled("Finished:")
    assert engine.prompts[1].count(HTML) == 2
    assert not any("\u2060" in prompt for prompt in engine.prompts)
    tab.page.get_by_role("button", name=re.compile("^Copy")).last.click()
    read = "() => navigator.clipboard.readText()"
    tab.page.wait_for_function(
        f"{read}().then((text) => text.includes('bold'))".replace(read, f"({read})")
    )
    assert tab.page.evaluate(read) == HTML
    tab.replies.click(click_count=3)
    tab.page.keyboard.press("Control+C")
    assert "<b>bold</b>" in tab.page.evaluate(read)


def test_it_stays_so_after_a_message_that_was_refused(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda prompt: HTML)
    tab = visit(serve(engine))
    tab.ask(HTML)
    tab.send(" ")
    expect(tab.toasts).to_contain_text("Please write a message first.")
    tab.settled("Finished:")
    tab.send("x" * 20_000)
    tab.settled("Failed:")
    tab.ask(HTML)
    tab.ask("more")
    assert engine.prompts[-1].count(HTML) == 4
    for message in (*tab.messages.all()[:2], *tab.replies.all()):
        assert HTML in message.text_content().replace("\u2060", "")
        assert message.locator("b, div.block, img, think").count() == 0


def test_a_diagram_is_shown_as_its_code(serve: Serve, visit: Visit) -> None:
    diagram = "graph TD; A[<b>x</b>]-->B"
    tab = visit(serve(ScriptedEngine(lambda prompt: f"```mermaid\n{diagram}\n```")))
    tab.ask("Draw")
    expect(tab.replies.locator("pre code")).to_contain_text(diagram)
    assert tab.replies.locator(".mermaid, b").count() == 0


def test_no_mixture_of_fences_lists_and_formulas_makes_a_tag_of_text(visit: Visit) -> None:
    draw = random.Random(4)
    texts = ["".join(draw.choices(PARTS, k=draw.randint(3, 16))) for _ in range(120)] + TRAPS
    texts = [text for text in texts if "<b>" in text]
    built = page.build(chat_with(ScriptedEngine()), Settings())
    talk = [
        entry(role, text) for text in texts for role, text in (("user", "?"), ("assistant", text))
    ]
    built.chatbot.value = built.chatbot.postprocess(talk).model_dump()
    try:
        tab = visit(serve.launch(built, Settings(), block=False))
        expect(tab.replies).to_have_count(len(texts), timeout=120_000)
        assert tab.replies.locator("b").count() == 0
        for text, shown in zip(texts, tab.replies.all_text_contents(), strict=True):
            # What stands behind the marks of a fence is the name of a language, and not shown.
            named = sum(
                line.count("<b>") for line in text.split("\n") if "```" in line or "~~~" in line
            )
            assert shown.replace("\u2060", "").count("<b>") >= text.count("<b>") - named
    finally:
        built.close()


def test_formulas_are_set_and_prices_are_not(serve: Serve, visit: Visit) -> None:
    says = r"\(a^2\), \[b<c\] and $$\sum_i i$$ cost $5 or $6."
    tab = visit(serve(ScriptedEngine(lambda prompt: says)))
    tab.ask("Formulas")
    expect(tab.replies.locator(".katex")).to_have_count(3)
    expect(tab.replies).to_contain_text("cost $5 or $6.")
    assert tab.elsewhere == []


def test_each_paragraph_runs_as_its_script_does(serve: Serve, visit: Visit) -> None:
    tab = visit(
        serve(
            ScriptedEngine(
                lambda prompt: "Hello, and a line that is longer\n\nمرحبا بالعالم\n\n你好，世界"
            )
        )
    )
    tab.ask("مرحبا")
    sides = """(paragraphs) => paragraphs.map((one) => {
        const words = document.createRange();
        words.selectNodeContents(one);
        const [text, box] = [words.getBoundingClientRect(), one.getBoundingClientRect()];
        return box.right - text.right < text.left - box.left ? "right" : "left";
    })"""
    assert tab.replies.locator("p").evaluate_all(sides) == ["left", "right", "left"]
    tab.box.fill("مرحبا")
    assert tab.box.evaluate("(box) => getComputedStyle(box).unicodeBidi") == "plaintext"
