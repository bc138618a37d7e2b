"""Points of failure at the start: disks that are full, damaged files, ports that are taken."""

import asyncio
import json
import os
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from benchmarks.reliability.echo.serving import ECHO, Serving
from benchmarks.reliability.faults.tried import NEVER, UNFIT, Tried
from benchmarks.server import APP, ROOT, free_port
from chat.engines.watchdog import slowed
from chat.models import embedded, ir
from chat.settings import Settings
from chat.settings.serving import KEY_FILE

#: Seconds that a start may take on a machine that does much else, before it counts as hung.
LONGEST = 120.0
#: Seconds in which a start that comes to nothing says so, on a machine that has nothing else to do.
TOLD = 60.0
#: Bytes that a file may have where a disk is full.
FULL = 4096
#: Of what a start says why it came to nothing: nothing else may be the reason.
NO_ROOM, IN_USE = "File too large|No space left", "already in use"
UNUSABLE = "damaged|cut off|missing|has no|nested too deeply|neither in"
FULL_APP = ("-m", "benchmarks.reliability.faults.full")


class Ended(NamedTuple):
    """A start that came to nothing, or was ended once the page was there."""

    status: int | None
    output: str
    seconds: float


def started(program: Sequence[str], *flags: str, limit: int | None = None) -> Ended:
    """Start something, with a limit on the size of its files; return how it has ended.

    The status is None if it had not, and was ended.
    """
    with tempfile.TemporaryDirectory() as data:  # where nobody's own key is
        return _started([*program, f"--server-port={free_port()}", *flags], limit, data)


def _started(command: Sequence[str], limit: int | None, data: str) -> Ended:
    def full() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-u", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_DATA_HOME": data},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=full,
    )
    lines: list[str] = []
    assert process.stdout
    hung = threading.Timer(LONGEST, process.kill)  # whose output would be read for ever
    hung.start()
    try:
        for line in process.stdout:
            lines.append(line)
            if "Running on local URL" in line:
                process.terminate()
                process.wait(LONGEST)
                return Ended(None, "".join(lines), time.monotonic() - began)
        return Ended(process.wait(LONGEST), "".join(lines), time.monotonic() - began)
    finally:
        hung.cancel()
        process.kill()
        process.wait()


def refused(ended: Ended, why: str) -> Tried:
    """Return what is to be said of a start that has to end in one sentence, which says `why`."""
    last = (ended.output.strip().splitlines() or [""])[-1]
    wrong = []
    if ended.status is None:
        wrong.append("it started as if nothing were")
    elif ended.status != 1 or not last.startswith("Fourbit Chat: ") or not last.endswith("."):
        wrong.append("it ended without a sentence")
    elif not re.search(why, last):
        wrong.append(f"{NEVER}: it ended for another reason")
    if UNFIT.search(ended.output):
        wrong.append("a traceback, or a library's words")
    if ended.seconds > slowed(TOLD):
        wrong.append(f"it ended after more than {TOLD:.0f} s")
    return Tried(ended.seconds, "a start" if ended.status is None else "a sentence", wrong)


def port_taken(number: int) -> Tried:
    """Start where somebody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return refused(started(APP, f"--server-port={taken.getsockname()[1]}"), IN_USE)


def full_at_key(number: int) -> Tried:
    """Start where the key of saved conversations cannot be written."""
    with tempfile.TemporaryDirectory() as folder:
        return refused(started((*ECHO, "page"), f"--data-dir={folder}", limit=1), NO_ROOM)


def full_at_download(number: int) -> Tried:
    """Start where the embedded model is fetched onto a disk that has no room for it."""
    with tempfile.TemporaryDirectory() as folder:
        limit = (1, FULL)[number % 2]
        flags = "--model=embedded", f"--cache-dir={folder}"
        return refused(started(FULL_APP, *flags, limit=limit), NO_ROOM)


def full_at_conversion(number: int) -> Tried:
    """Start where a model's conversion finds no room."""
    file = embedded.path(Settings().cache_dir)
    with tempfile.TemporaryDirectory() as folder:
        flags = f"--model={file}", "--engine=openvino", f"--cache-dir={folder}"
        return refused(started(APP, *flags, limit=FULL), NO_ROOM)


def full_at_cache(number: int) -> Tried:
    """Start where nothing at all can be written into the cache."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "file")
        place.write_text("")
        flags = "--model=embedded", f"--cache-dir={place}"
        return refused(started(APP, *flags), "nothing can be written there")


#: What becomes of the files of an OpenVINO model.
DAMAGES: dict[str, Callable[[Path], object]] = {
    "openvino_model.bin": lambda file: file.write_bytes(b"\0" * 1000),
    "openvino_model.xml": lambda file: file.write_text("<net"),
    "tokenizer.json": lambda file: file.write_text('{"model": '),
    "config.json": lambda file: file.write_text("[" * 10_000),
    "openvino_tokenizer.xml": lambda file: file.write_bytes(os.urandom(1000)),
    "openvino_detokenizer.bin": lambda file: file.write_bytes(b""),
}


def damaged_cache(number: int) -> Tried:
    """Start where a byte of what was converted has changed since, so that it is converted anew."""
    cache = Settings().cache_dir
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        place = Path(folder)
        os.link(embedded.path(cache), embedded.path(place))
        copy = _copied(ir.place(embedded.path(place), place))
        files = sorted(copy.iterdir())
        file = files[number % len(files)]
        data = bytearray(file.read_bytes())
        data[random.Random(number).randrange(len(data))] ^= 1 << number % 8
        file.unlink()
        file.write_bytes(data)
        flags = "--model=embedded", "--engine=openvino", f"--cache-dir={place}", "--no-tune"
        ended = started(APP, *flags)
        anew = ended.status is None and "made anew" in ended.output
        wrong = [] if anew else ["it was not made anew"]
        if UNFIT.search(ended.output):
            wrong.append("a traceback, or a library's words")
        return Tried(ended.seconds, "a start", wrong)


def _copied(place: Path) -> Path:
    """Return `place` with the converted model in it, whose files are those of the cache."""
    cache = Settings().cache_dir
    made = ir.place(embedded.path(cache), cache)
    shutil.copytree(made, place, copy_function=os.link)
    return place


def damaged_folder(number: int) -> Tried:
    """Start with somebody's OpenVINO model of which a file is damaged, or missing."""
    name, damage = [*DAMAGES.items()][number % len(DAMAGES)]
    with tempfile.TemporaryDirectory(dir=Settings().cache_dir) as folder:
        copy = _copied(Path(folder, "model"))
        (copy / name).unlink()
        if number // len(DAMAGES) % 2 == 0:
            damage(copy / name)
        ended = started(APP, f"--model={copy}", "--no-tune")
        # A detokenizer is needed for patterns alone, and not by every start.
        fine = ended.status is None and "detokenizer" in name
        return Tried(ended.seconds, "a start", []) if fine else refused(ended, UNUSABLE)


def damaged_key(number: int) -> Tried:
    """Start with a file that is no key."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, KEY_FILE).write_bytes((b"", b"short", os.urandom(44))[number % 3])
        return refused(started((*ECHO, "page"), f"--data-dir={folder}"), "it is not one")


def two_at_once(number: int) -> Tried:
    """Start two pages on one port, and at once; and two on one folder, which get the same key."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        pages = [Serving((*ECHO, "page"), place) for _ in range(2)]
        began, wrong = time.monotonic(), []
        try:
            third = started((*ECHO, "page"), f"--server-port={pages[0].port}")
            if third.status is None:  # it was there first, so that the other is refused
                ended = Ended(pages[0].process.wait(LONGEST), pages[0].output, third.seconds)
                return refused(ended, IN_USE)
            wrong += refused(third, IN_USE).wrong
            for page in pages:
                page.wait()
            seconds = time.monotonic() - began
            said = {"messages": [{"role": "user", "content": "my diary"}]}
            [sealed] = _run(pages[0], "saved_seal", [said])
            [opened] = _run(pages[1], "saved_names", [[sealed["title"]]])
            if opened != ["my diary"]:
                wrong.append("they have two keys")
        finally:
            for page in pages:
                page.end()
        return Tried(seconds, "a start and a sentence", wrong)


def _run(page: Serving, name: str, data: list[object]) -> list[Any]:
    """Call one of a page's own functions."""
    sent = json.dumps({"data": [data]}).encode()
    asked = Request(f"{page.url}/gradio_api/run/{name}", sent, {"Content-Type": "application/json"})
    with urlopen(asked) as answer:
        found: list[Any] = json.load(answer)["data"]
    return found


POINTS: dict[str, Callable[[int], Tried]] = {
    "disk full at download": full_at_download,
    "disk full at conversion": full_at_conversion,
    "disk full at key": full_at_key,
    "no cache": full_at_cache,
    "damaged cache": damaged_cache,
    "damaged folder": damaged_folder,
    "damaged key": damaged_key,
    "port taken": port_taken,
    "two starts at once": two_at_once,
}


async def start(name: str, number: int) -> Tried:
    """Try one of them."""
    return await asyncio.to_thread(POINTS[name], number)
