"""Looks at cases, each in a process of its own, as `--check` does or as the page imports a file.

As a program it reads cases from its input, one a line, and writes what came of each:
`python -m benchmarks.reliability.hostile.looking FOLDER`.
"""

import json
import os
import signal
import sys
import tempfile
import time
from base64 import b64encode
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.reliability.hostile.cases import Case
from benchmarks.reliability.hostile.good import WIDTH

#: Seconds that one may take on a machine that is busy, and bytes that its process may take.
SECONDS, BYTES = 120, 1_500_000_000


def main(cache: str) -> None:
    """Look at the cases in the input, one a line, each in a process that is forked for it."""
    _prepared()
    for line in sys.stdin:
        case = Case(*json.loads(line))
        with tempfile.TemporaryFile("w+") as said:
            begun = time.monotonic()
            if not (child := os.fork()):
                _forked(case, Path(cache), said)
            code, used = _ended(child)
            seconds = time.monotonic() - begun
            said.seek(0)
            lines = said.read().strip().splitlines() or [""]
        broken = _broken(case, code, seconds, used, lines)
        print(json.dumps([seconds, used, lines[-1][:300], broken]), flush=True)


def _prepared() -> None:
    """Import what a process would, once for all of them."""
    import transformers  # noqa: F401
    from bitsandbytes import nn  # noqa: F401

    from chat import check  # noqa: F401
    from chat.core.imports import apart  # noqa: F401
    from chat.models import ir, lora, quantize  # noqa: F401


def _forked(case: Case, cache: Path, said: Any) -> None:
    status = 1
    with redirect_stdout(said), redirect_stderr(said):
        os.dup2(said.fileno(), 2)
        try:
            status = _given(case, cache)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            said.flush()
            os._exit(status)


def _given(case: Case, cache: Path) -> int:
    """Give a case to what a host or a visitor gives it to; return the exit status."""
    from chat.core.imports import apart
    from chat.errors import ChatError
    from chat.models import adapters

    if case.kind == "import":
        data = b64encode(Path(case.path).read_bytes()).decode() if Path(case.path).is_file() else ""
        try:
            found = apart.read([("talk.json", data)], 900_000)
            print(f"{len(found.conversations)} conversations. {found.refused}")
        except ChatError as error:
            print(error)
        return 0
    if case.kind == "adapter":
        layers = {"model.layers.0.self_attn.q_proj": (WIDTH, WIDTH)}
        try:
            for adapter in filter(None, adapters.read(f"a={case.path}").values()):
                adapter.check(layers)
            print("It fits.")
        except ChatError as error:
            print(error)
        return 0
    from chat import check, settings

    flags = ["--check", case.path, "--cache-dir", str(cache), "--data-dir", str(cache)]
    if case.kind in ("tokenizer", "template"):
        flags += ["--engine", "transformers"]
    return check.check(settings.read(flags))


def _ended(child: int) -> tuple[int | None, int]:
    """Return the exit status of a process, None if it had to be ended, and the bytes it took."""
    until = time.monotonic() + SECONDS
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            return None, usage.ru_maxrss * 1024
        time.sleep(0.005)


def _broken(case: Case, code: int | None, seconds: float, used: int, lines: list[str]) -> str:
    """Say what is not as it has to be, or nothing."""
    from chat.errors import UNEXPECTED

    text = "\n".join(lines)
    if code is None:
        return f"it had not ended after {SECONDS} s"
    if code not in (0, 1):
        return f"it ended with status {code}: {text[-300:]}"
    if "Traceback (most recent" in text or "panicked" in text or UNEXPECTED in text:
        return f"no sentence: {text[-1500:]}"
    if "\x1b" in text:
        return f"signs for terminals: {text[-300:]!r}"
    if len(lines[-1]) > 2_000:
        return f"a sentence of {len(lines[-1])} letters"
    return f"it took {used / 1e6:.0f} MB" if used > BYTES else ""


if __name__ == "__main__":
    main(sys.argv[1])
