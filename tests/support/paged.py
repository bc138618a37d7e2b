"""A page in a process of its own, around a scripted engine: `python -m tests.support.paged`.

It takes the flags of the app, and can be killed as that can.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chat.errors import FAILED, EngineError
from chat.settings import read
from tests.support.fakes import ScriptedEngine, chat_with, last_message
from tests.support.ports import free_port

ROOT = Path(__file__).parent.parent.parent


def said(prompt: str) -> str:
    """`Count to N` is counted, a number every 0.1 seconds; all else is repeated."""
    message = last_message(prompt)
    if found := re.fullmatch(r"Count to (\d+)", message):
        return "".join(f"{number:09} " for number in range(1, int(found[1]) + 1))
    return f"Re: {message}"


class Engine(ScriptedEngine):
    """Has failed for good once it is asked to, and with it all replies."""

    parallel = 8

    async def generate(self, *asked: Any, **named: Any) -> AsyncGenerator[list[int]]:
        async for ids in super().generate(*asked, **named):
            if last_message(self.prompts[-1]) == "Fail for good":
                self.state = "failed"
            if self.state == "failed":
                raise EngineError(FAILED)
            yield ids


def main() -> None:
    from chat.web import proxies

    proxies.import_gradio()  # as the app does, which takes half as long
    from chat.web import serve
    from chat.web.page import page

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = read(sys.argv[1:])
    chat = chat_with(Engine(said, pace=0.01), settings.max_waiting)
    try:
        serve.launch(page.build(chat, settings), settings)
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def paged(
    *flags: str, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve such a page; gives its address, and its process, which is ended if it has not."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-um", "tests.support.paged", f"--server-port={port}", *flags],
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    try:
        for line in process.stdout:
            if "Running on local URL" in line:
                break
        else:
            raise AssertionError("the page did not start")
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.kill()
        process.wait(timeout=30)
        process.stdout.close()


if __name__ == "__main__":
    main()
