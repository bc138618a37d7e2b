"""`python -m chat.backend`: our engines as a server, without a page."""

import os
import signal
import sys
from threading import Thread

from chat import interrupts
from chat.errors import ChatError, SettingsError, print_anything
from chat.settings import Settings, read

DESCRIPTION = """\
Serve a 4-bit language model to front-ends elsewhere (--engine server): token ids
in and out, in the dialect of vLLM's server. Settings that concern the page do
nothing here. It ends with its engine, with status 70: have it started again."""


def main(arguments: list[str]) -> None:
    """Read the settings, load the model, and serve it until interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupts.keep()
    print_anything()
    try:
        settings = read(arguments, "python -m chat.backend", DESCRIPTION)
        if settings.engine == "server":
            raise SettingsError(
                "The backend runs a model itself; choose another engine than server."
            )
        if settings.check:
            from chat.check import check

            sys.exit(check(settings))
        run(settings)
    except ChatError as error:
        sys.exit(f"Fourbit Chat: {error}")
    except KeyboardInterrupt:
        os._exit(130)


def run(settings: Settings) -> None:
    """Load the model and serve it until interrupted; SIGTERM lets those who are there finish."""
    # Here and not above, so that --help and a wrong flag answer at once.
    import uvicorn

    from chat.web import address, logs, traces
    from chat.web.lobby import lobby
    from chat.web.visitors import keys

    logs.begin(settings.log_format)
    keys.of(settings)
    listening, settings = address.listen(settings)
    where = f"http://{settings.server_name}:{settings.server_port}"
    print(f"Fourbit Chat's backend is starting at {where} ...", flush=True)
    with lobby(listening):
        from chat.load import load

        chat = load(settings)
        from chat.backend.app import build
        from chat.web.drain import Drain
        from chat.web.ending import end_now, end_with
        from chat.web.visitors.connections import options
        from chat.web.visitors.visitor import known_proxies

        traces.begin(chat.meter)
        app = build(chat, settings)
    config = uvicorn.Config(
        app,
        str(settings.server_name).strip("[]"),
        int(settings.server_port or 0),
        log_config=None,
        access_log=False,
        lifespan="off",
        **options(known_proxies(settings)),
    )
    # In a thread, since uvicorn would take the signals.
    server = uvicorn.Server(config)
    serving = Thread(target=server.run, daemon=True)
    serving.start()
    end_with(chat.engine)
    while serving.is_alive() and not server.started:
        serving.join(0.01)
    if server.started:
        print(f"* Running on local URL: {where}", flush=True)
    Drain(chat.gate, settings.drain_seconds, lambda: None)
    try:
        while serving.is_alive():  # a wait without an end would not hear of the drain's
            serving.join(0.1)
    except KeyboardInterrupt:
        if chat.gate.busy:
            raise
        end_now()  # with nobody cut off
    raise SettingsError(
        f"Nothing can be served at {where}, which something else has taken by now; choose another "
        "--server-port."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
