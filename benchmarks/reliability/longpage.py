"""A long conversation in Chromium, while formulas and code are being written at its end.

A server without a model says them, a token every 10 ms. How long the browser could not answer is
what Chromium calls a long task, and the gaps between tasks that come before all others, as a key
does that somebody presses. A timer and the next frame come after what else there is to do, and
are only shown.
"""

import json
import re
import sys
import time
from typing import Any, NamedTuple

from benchmarks import chromium, updates
from benchmarks.reliability.steps import Found
from benchmarks.server import serving

#: Turns before the one that is written, and tokens of that.
TURNS, TOKENS = 200, 2400
#: At least so many of either are tried.
LEAST_TURNS, LEAST_TOKENS = 20, 300
#: Milliseconds that a browser may not answer; of fewer turns a busy machine says too little.
LONGEST, JUDGED = 100, 100
TASK, ANSWER = "longest task (ms)", "longest wait of a key (ms)"
#: Seconds that the page may take for anything.
PATIENCE = 60

FORMULAS = r"""The energy is \(E = \sqrt{p^2 c^2 + m^2 c^4}\), and so

$$
\begin{aligned}
\oint_{\partial V} \mathbf{E} \cdot d\mathbf{A} &= \frac{1}{\varepsilon_0} \int_V \rho \, dV \\
\oint_{\partial S} \mathbf{B} \cdot d\mathbf{l} &= \mu_0 I + \mu_0 \varepsilon_0 \frac{d\Phi}{dt} \\
\sum_{n=0}^{\infty} \frac{x^n}{n!} &= \lim_{n \to \infty} \left(1 + \frac{x}{n}\right)^n = e^x
\end{aligned}
$$

"""
CODE = '''```python
def sieve(limit: int) -> list[int]:
    """Return the primes below `limit`."""
    found = [True] * limit
    for number in range(2, int(limit**0.5) + 1):
        if found[number]:
            found[number * number :: number] = [False] * len(found[number * number :: number])
    return [number for number in range(2, limit) if found[number]]
```

'''
#: What is written: a long formula, then much code, and again.
TEXT = (
    4 * FORMULAS
    + "```python\n"
    + 6 * CODE.replace("```python\n", "").replace("```\n", "")
    + ("```\n\n| number | prime |\n|---|---|\n" + "| 7 | yes |\n" * 8 + "\n")
)

BOX = "document.querySelector('#message textarea')"
STATUS = "document.querySelector('#status').textContent"
ENDED = re.compile("Finished|Cut off|Stopped|Failed")
#: What is said of a reply that was written to its end; how much of it has to be there, and how
#: many letters of each token.
WHOLE = re.compile(r"(?:Finished|Cut off[^:]*): ([\d,]+) tokens")
PART, LETTERS = 0.95, 1

#: Notes in `window.freezes` how long the page could not answer, in milliseconds.
NOTING = """() => {
    const freezes = window.freezes = {task: 0, tasks: 0, answer: 0, timer: 0, frame: 0};
    new PerformanceObserver((list) => {
        for (const {duration} of list.getEntries()) {
            freezes.task = Math.max(freezes.task, duration);
            freezes.tasks++;
        }
    }).observe({entryTypes: ["longtask"]});
    let answered = performance.now(), ticked = answered, drawn = answered;
    const answer = () => {
        const now = performance.now();
        freezes.answer = Math.max(freezes.answer, now - answered);
        answered = now;
        scheduler.postTask(answer, {priority: "user-blocking", delay: 5});
    };
    const tick = () => {
        const now = performance.now();
        freezes.timer = Math.max(freezes.timer, now - ticked);
        ticked = now;
        setTimeout(tick, 5);
    };
    const draw = () => {
        const now = performance.now();
        freezes.frame = Math.max(freezes.frame, now - drawn);
        drawn = now;
        requestAnimationFrame(draw);
    };
    answer();
    tick();
    requestAnimationFrame(draw);
}"""


def longpage(share: float) -> Found:
    """Open a long conversation, have a reply written, and note the longest freeze meanwhile."""
    turns = max(LEAST_TURNS, round(TURNS * share))
    tokens = max(LEAST_TOKENS, round(TOKENS * share))
    program = ("-m", "benchmarks.reliability.longpage")
    flags = ["--model=embedded", f"--max-new-tokens={tokens}"]
    with serving(program, flags, None) as server:
        seen = _watch(server.url, turns)
    return found(turns, tokens, seen)


class Watched(NamedTuple):
    """What was seen of a reply."""

    figures: dict[str, float]
    #: What the status line said in the end, and how many letters the page showed.
    status: str
    letters: int


def found(turns: int, tokens: int, seen: Watched) -> Found:
    """Say whether the browser has always answered; of a few turns, only what it took.

    Of so many tokens that were asked for all but a few have to be there, or nothing was tried.
    """
    whole = WHOLE.search(seen.status)
    written = int(whole[1].replace(",", "")) if whole else 0
    longest = max(seen.figures[TASK], seen.figures[ANSWER])
    broken = [
        (not whole, f"The reply was not written to its end: {seen.status!r}."),
        (written < PART * tokens, f"Only {written} of {tokens} tokens were written."),
        (seen.letters < LETTERS * tokens, f"The page showed {seen.letters} letters of the reply."),
        (
            longest > LONGEST and turns >= JUDGED,
            f"The browser did not answer for {longest:.0f} ms.",
        ),
    ]
    figures: dict[str, float | str] = {"turns": turns, "tokens": written, **seen.figures}
    return Found(figures, [sentence for wrong, sentence in broken if wrong])


def _watch(url: str, turns: int) -> Watched:
    from playwright.sync_api import FilePayload, expect, sync_playwright

    expect.set_options(timeout=1000 * PATIENCE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(url)
        box = page.get_by_placeholder("Type a message")
        expect(box).to_be_editable()
        file: FilePayload = {
            "name": "long.json",
            "mimeType": "application/json",
            "buffer": _file(turns),
        }
        page.locator("#panel input[type=file]").set_input_files([file])
        page.get_by_role("button", name="Open", exact=True).click()
        replies = page.get_by_role("log").get_by_test_id("bot")
        expect(replies).to_have_count(turns)
        page.wait_for_timeout(1500)
        # Playwright's locators go through all that is on the page, which takes 0.1 s and more.
        page.evaluate(f"{BOX}.focus()")
        page.evaluate(NOTING)
        watching = page.context.new_cdp_session(page)
        watching.send("Performance.enable")
        began, busy = time.perf_counter(), _busy(watching)
        page.keyboard.insert_text("Go on.")
        page.keyboard.press("Enter")
        while not ENDED.search(status := page.evaluate(STATUS)):
            page.wait_for_timeout(200)
        page.wait_for_timeout(500)
        freezes: dict[str, Any] = page.evaluate("window.freezes")
        seconds, busy = time.perf_counter() - began, _busy(watching) - busy
        letters = len(replies.last.text_content() or "")
        browser.close()
    figures = {
        TASK: freezes["task"],
        "tasks over 50 ms": freezes["tasks"],
        ANSWER: freezes["answer"],
        "longest gap of a timer (ms)": freezes["timer"],
        "longest gap between frames (ms)": freezes["frame"],
        "browser's thread busy (% of the time)": 100 * busy / seconds,
        "seconds": seconds,
    }
    return Watched(figures, str(status), letters)


def _busy(watching: Any) -> float:
    """Return for how many seconds the page's own thread has done something so far."""
    told = {one["name"]: one["value"] for one in watching.send("Performance.getMetrics")["metrics"]}
    found: float = told["TaskDuration"]
    return found


def _file(turns: int) -> bytes:
    reply = FORMULAS + CODE
    messages = []
    for number in range(turns):
        messages.append({"role": "user", "content": f"Formulas and code, part {number}?"})
        messages.append({"role": "assistant", "content": reply})
    return json.dumps({"title": "A long one", "messages": messages}).encode()


if __name__ == "__main__":
    updates.serve(sys.argv[1:], TEXT)
