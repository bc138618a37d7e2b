"""`python -m chat.backend`: our engines as a server, without a page."""

import os
import signal
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from threading import Thread

from chat.errors import ChatError, SettingsError
from chat.settings import Settings, add_flags, checked

DESCRIPTION = """\
Serve a 4-bit language model to front-ends elsewhere (--engine server): token ids
in and out, in the dialect of vLLM's server. Settings that concern the page do
nothing here. It ends with its engine, with status 70: have it started again."""

#: Seconds for which running replies may take to end, once the server is to.
DRAIN = 600.0


def main(arguments: list[str]) -> None:
    """Read the settings, load the model, and serve it until interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = _read(arguments)
        if settings.check:
            from chat.check import check

            sys.exit(check(settings))
        run(settings)
    except ChatError as error:
        sys.exit(f"Fourbit Chat: {error}")
    except KeyboardInterrupt:
        os._exit(130)


def _read(arguments: list[str]) -> Settings:
    parser = ArgumentParser(
        "python -m chat.backend",
        description=DESCRIPTION,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = add_flags(parser)
    return checked(source, parser.parse_args(arguments))


def run(settings: Settings) -> None:
    """Load the model and serve it; once interrupted, answer who is there, and no one else.

    Raises:
        KeyboardInterrupt: it was interrupted a second time, or before there was a model.
    """
    if settings.engine == "server":
        raise SettingsError("The backend runs a model itself; choose another engine than server.")
    # Here and not above, so that --help and a wrong flag answer at once.
    import uvicorn

    from chat.backend.app import build
    from chat.backend.door import Door
    from chat.backend.ending import end_with
    from chat.web import address

    listening, settings = address.listen(settings)
    where = f"http://{settings.server_name}:{settings.server_port}"
    print(f"Fourbit Chat's backend is starting at {where} ...", flush=True)
    door = Door()
    config = uvicorn.Config(door, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    # In a thread, so that what interrupts ends the loading too.
    serving = Thread(target=server.run, args=[[listening]], daemon=True)
    serving.start()
    from chat.load import load

    chat = load(settings)
    end_with(chat.engine)
    door.open(build(chat, settings))
    print(f"* Running on local URL: {where}", flush=True)
    try:
        serving.join()
    except KeyboardInterrupt:
        door.close()
    deadline = time.monotonic() + DRAIN
    while door.inside and time.monotonic() < deadline:
        time.sleep(0.05)
    server.should_exit = True
    serving.join(1.0)
    chat.engine.close()


if __name__ == "__main__":
    main(sys.argv[1:])
