"""What people and models write, as a browser shows it."""

import random
import re

from playwright.sync_api import expect

from chat.settings import Settings
from chat.web import serve
from chat.web.page import page
from chat.web.page.escape import MARK
from chat.web.page.history import entry
from tests.conftest import Serve
from tests.support.examples import some
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
#: What people type, and Markdown would make something else of.
TYPED = ["__init__", "*args", "# comment", "3. is my answer", "a*b*c", r"C:\new\_temp", "&lt;b&gt;"]
TYPED += [
    "---",
    "    def f():\n\treturn  1\n\n\n    # so",
    "| a |\n| - |\n| b |",
    "[a](/b) ![a](/b)",
]
TYPED += ["$$x$$, $y$ and \\(z\\)", "%%%LATEX_BLOCK_0%%%", "```python\nf`x`\n```", "a~b~c ~~d~~"]
TYPED += [
    "http://a.b/c_d_e www.a.b a@b.c",
    'src="/file=x"',
    f"<{MARK}b> &#0042;",
    "a\n===",
    "a  \n b",
]
TYPED += ["- [ ] a\n- b\n\n> c", "&copy &#65; &nbsp;", "[a]: /b\n\n[a]", "x" * 500, "你好~世界~"]
BITS = [*PARTS, *(bit for text in TYPED for bit in re.split("(?<=[^0-9A-Za-z])", text) if bit)]


def test_html_is_text_and_code_is_code(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(lambda prompt: f"{HTML} and 1 < 2\n\n{CODE}\n\n{HTML}")))
    tab.ask(HTML)
    for message in (tab.messages, tab.replies):
        assert HTML in message.text_content().replace(MARK, "")
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
    assert not any(MARK in prompt for prompt in engine.prompts)
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
        assert HTML in message.text_content().replace(MARK, "")
        assert message.locator("b, div.block, img, think").count() == 0


def test_a_diagram_is_shown_as_its_code(serve: Serve, visit: Visit) -> None:
    diagram = "graph TD; A[<b>x</b>]-->B"
    tab = visit(serve(ScriptedEngine(lambda prompt: f"```mermaid\n{diagram}\n```")))
    tab.ask("Draw")
    expect(tab.replies.locator("pre code")).to_contain_text(diagram)
    assert tab.replies.locator(".mermaid, b").count() == 0


def test_no_mixture_of_fences_lists_and_formulas_makes_a_tag_of_text(visit: Visit) -> None:
    draw = random.Random(4)
    texts = ["".join(draw.choices(PARTS, k=draw.randint(3, 16))) for _ in range(some(40))] + TRAPS
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
            assert shown.replace(MARK, "").count("<b>") >= text.count("<b>") - named
    finally:
        built.close()


def test_no_mixture_of_markdown_changes_what_was_typed(visit: Visit) -> None:
    draw = random.Random(4)
    texts = TYPED + ["".join(draw.choices(BITS, k=draw.randint(1, 16))) for _ in range(some(40))]
    texts = [text for text in texts + TRAPS if text.strip()]
    built = page.build(chat_with(ScriptedEngine()), Settings())
    talk = [
        entry(role, text) for text in texts for role, text in (("user", text), ("assistant", "x"))
    ]
    built.chatbot.value = built.chatbot.postprocess(talk).model_dump()
    try:
        tab = visit(serve.launch(built, Settings(), block=False))
        expect(tab.replies).to_have_count(len(texts), timeout=120_000)
        paragraphs = tab.messages.locator("p")
        expect(paragraphs).to_have_count(len(texts))
        assert paragraphs.all_text_contents() == texts
        assert tab.messages.locator("p *, pre, ul, ol, table, hr, img").count() == 0
    finally:
        built.close()


def test_what_was_typed_comes_back_as_it_was(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda prompt: f"Number {len(engine.prompts)}")
    tab = visit(serve(engine))
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copied = "() => navigator.clipboard.readText()"
    typed = "".join(f"{text}\n" for text in TYPED) + "."
    tab.ask(typed)
    tab.button("Retry").click()
    expect(tab.replies).to_have_text("Number 2")
    tab.settled("Finished:")
    assert all(typed in prompt for prompt in engine.prompts)
    tab.messages.first.hover()
    tab.page.get_by_role("button", name=re.compile("^Copy message")).first.click()
    tab.page.wait_for_function(f"({copied})().then((text) => text.endsWith('.'))")
    assert tab.page.evaluate(copied) == typed
    tab.messages.locator("p").evaluate("(message) => getSelection().selectAllChildren(message)")
    tab.page.keyboard.press("Control+C")
    # A mark that somebody typed is the one thing that is not selected.
    assert tab.page.evaluate(copied) == typed.replace(MARK, "")
    tab.button("Edit").first.click()
    expect(tab.chat.get_by_role("textbox")).to_have_value(typed)
    tab.button("Cancel").click()
    tab.edit(0, typed + "!")
    expect(tab.replies).to_have_text("Number 3")
    tab.settled("Finished:")
    assert f"{typed}!" in engine.prompts[-1]
    expect(tab.messages.locator("p")).to_have_text(typed + "!")
    tab.button("Undo").click()
    expect(tab.box).to_have_value(typed + "!")


def test_a_box_to_edit_a_message_is_left_with_its_conversation(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(lambda prompt: "Yes.")))
    tab.ask("Hi")
    for leave in ("New chat", "Clear"):
        tab.button("Edit").first.click()
        expect(tab.chat.get_by_role("textbox")).to_be_visible()
        tab.button(leave).click()
        expect(tab.replies).to_have_count(0)
        tab.ask("Something else")
        expect(tab.chat.get_by_role("textbox")).to_have_count(0)
        tab.says("Something else", "Yes.")
    tab.button("Edit").first.click()
    tab.chat.get_by_role("textbox").fill("Half of it")
    tab.button("Copy conversation").click()
    expect(tab.chat.get_by_role("textbox")).to_have_value("Half of it")
    tab.button("Undo").click()
    expect(tab.replies).to_have_count(0)
    tab.ask("Something else")
    expect(tab.chat.get_by_role("textbox")).to_have_count(0)


def test_markdown_does_not_change_what_a_reply_says(serve: Serve, visit: Visit) -> None:
    says = "每天2~3次，连续5~7天 &lt;b&gt; &copy; &#65; 2*3*4 x**2 + y**2 `&lt;`"
    code = "```\n&lt; 2~3, 5~7\n```"
    tab = visit(serve(ScriptedEngine(lambda prompt: f"{says} ~~gone~~\n\n{code}\n\n**so**")))
    tab.ask("Hi")
    shown = tab.replies.text_content().replace(MARK, "")
    assert says.replace("`", "") in shown
    expect(tab.replies.locator("pre code")).to_have_text("&lt; 2~3, 5~7")
    expect(tab.replies.locator("del")).to_have_text("gone")
    expect(tab.replies.locator("strong")).to_have_text("so")
    assert tab.replies.locator("em").count() == 0


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
