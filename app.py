"""Fourbit Chat: a chat with a 4-bit language model, in a browser.

    python app.py            then open http://127.0.0.1:7860

The way of one message: `chat.page` takes it from the browser and calls
`chat.callback`, which rebuilds the conversation (`chat.conversation`), composes
the prompt (`prompts`), waits its turn (`chat.gate`), and turns the token ids of
the engine (`chat.engines`) into the reply so far, again and again.
"""

import sys

from chat.errors import ChatError
from chat.settings import Settings, read
from prompts.base import PromptError


def main(arguments: list[str]) -> None:
    """Read the settings, load the model, serve the page."""
    try:
        run(read(arguments))
    except (ChatError, PromptError) as error:
        sys.exit(f"Fourbit Chat: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def run(settings: Settings) -> None:
    """Load the model in 4 bits and chat with it until interrupted."""
    print("Fourbit Chat is starting ...", flush=True)
    # Here and not above, so that --help and a wrong flag answer at once.
    import torch

    import prompts
    from chat import models, page, quantize, serve
    from chat.callback import Chat
    from chat.engines.transformers import TransformersEngine
    from chat.gate import Gate
    from chat.tokens import FastTokens

    serve.check_address(settings)
    source = models.locate(settings.model, settings.cache_dir, cuda=torch.cuda.is_available())
    tokenizer, model = quantize.load(source, settings.cache_dir)
    format = prompts.choose(tokenizer, settings.prompt_format, echo=settings.echo)
    tokens = FastTokens(tokenizer)
    engine = TransformersEngine(model, tokens.stop_ids(format.stop), settings.context_window)
    chat = Chat(engine, tokens, format, Gate(engine.parallel, settings.max_waiting))
    serve.launch(page.build(chat, settings), settings)


if __name__ == "__main__":
    main(sys.argv[1:])
