"""Fourbit Chat: a chat with a 4-bit language model, in a browser.

    python app.py            then open http://127.0.0.1:7860

The way of one message: `chat.web.page.page` takes it from the browser, `chat.web.page.running` has
the reply outlast the tab for a while, `chat.web.page.ask` rebuilds the conversation
(`chat.core.conversation`) and calls `chat.core.chat`, which composes the prompt (`prompts`), waits
its turn (`chat.core.gate`), and turns the token ids of the engine (`chat.engines`) into the reply
so far, again and again. `Chat.reply` in `chat/core/chat.py` is its heart; docs/architecture.md has
the map. The same in a terminal is `python -m chat`, and a model alone `python -m chat.backend`.
"""

import os
import signal
import sys
from threading import Thread

from chat import interrupts, space
from chat.errors import ChatError, print_anything
from chat.settings import Settings, read


def main() -> None:
    """Read the settings, load the model, serve the page."""
    # What stops a container sends this, and the first process there would ignore it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupts.keep()
    print_anything()
    space.use_storage()
    try:
        settings = read(sys.argv[1:])
        if settings.check:
            from chat.check import check

            sys.exit(check(settings))
        run(settings)
    except ChatError as error:
        sys.exit(f"Fourbit Chat: {error}")
    except KeyboardInterrupt:
        # At once: to take down what was imported can take Python longer than people wait.
        os._exit(130)
    except BrokenPipeError:  # whoever read what is said has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def run(settings: Settings) -> None:
    """Load the model in 4 bits and chat with it until interrupted."""
    # Here and not above, so that --help and a wrong flag answer at once.
    from chat.web import address, headers, logs, proxies
    from chat.web.visitors import keys

    logs.begin(settings.log_format)
    settings.require_data_dir()
    keys.of(settings)  # what is wrong with their file is said before a model is loaded
    listening, settings = address.listen(settings)
    where = f"http://{settings.server_name}:{settings.server_port}"
    print(f"Fourbit Chat is starting at {where} ...", flush=True)
    from chat.web.lobby import lobby

    with lobby(listening, settings.root(), headers.frames(settings), settings.title):
        space.emulate_gpu()
        # Gradio looks for it at each update, and nothing here draws.
        sys.modules.setdefault("matplotlib", None)  # type: ignore[arg-type]
        from chat.load import load

        # The page takes as long to import as a small model to load, so both go on at once.
        Thread(target=proxies.import_page, daemon=True).start()
        chat = load(settings)
        from chat.web import serve
        from chat.web.page import page

        built = page.build(chat, settings)
    serve.launch(built, settings)


if __name__ == "__main__":
    main()
