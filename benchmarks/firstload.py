"""What the page costs a browser before somebody can type: bytes, requests and time.

    python -m benchmarks.firstload [--times 5]

A server without a model, and Chromium on the same machine, each time as somebody who was never here
and then once more with what its cache has. Bytes are those of the answers as they were sent, with
their headers.
"""

import argparse
import json
from statistics import median
from typing import Any

from benchmarks import chromium, machine
from benchmarks.server import serving

#: The program is that of `benchmarks.updates`, as a page.
PROGRAM, FLAGS = ("-m", "benchmarks.reliability.longpage"), ["--model=embedded"]
#: Notes when the box can be written into, in milliseconds since the page was asked for.
READY = """() => {
    const look = () => {
        const box = document.querySelector("#message textarea");
        if (box && !box.disabled) window.usable = performance.now();
        else requestAnimationFrame(look);
    };
    look();
}"""


def main() -> None:
    """Measure, and print the medians as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    with serving(PROGRAM, FLAGS, None) as server:
        found = measured(server.url, times)
    print(json.dumps({**found, **machine.describe()}, indent=1))


def measured(url: str, times: int) -> dict[str, dict[str, float]]:
    """Return the medians of so many first loads, and of as many that find a cache."""
    from playwright.sync_api import sync_playwright

    first, again = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        for _ in range(times):
            context = browser.new_context()
            context.add_init_script(f"({READY})()")
            first.append(_load(context, url))
            again.append(_load(context, url))
            context.close()
        browser.close()
    return {"first": _medians(first), "again": _medians(again)}


def _load(context: Any, url: str) -> dict[str, float]:
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda one: sizes.append(one["encodedDataLength"]))
    page.goto(url)
    while (usable := page.evaluate("window.usable")) is None:
        page.wait_for_timeout(20)
    page.wait_for_timeout(1000)  # what comes after that counts too
    page.close()
    return {"requests": len(sizes), "kilobytes": sum(sizes) / 1000, "usable after (ms)": usable}


def _medians(loads: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(one[name] for one in loads), 1) for name in loads[0]}


if __name__ == "__main__":
    main()
