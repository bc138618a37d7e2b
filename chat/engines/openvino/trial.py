"""The process in which a grammar is tried before anyone's reply is held to it.

How long one takes to compile cannot be told from its length: `[a-z]{0,99}` takes 0.6 s with a
vocabulary of 49,000 tokens, `(a|b|[^0-9]?){0,50}` minutes, and after some each token takes a
second. So it is done once where nobody waits, by a process that ends itself when it takes too
much. It gets a `Trials`, then one grammar after another, and sends the bytes that each takes.
"""

import os
import signal
from multiprocessing.connection import Connection

import openvino_genai as genai
import psutil

from chat import child
from chat.engines.openvino.compiler import Compiler
from chat.engines.openvino.wire import PATIENCE, Trials
from chat.engines.process import on_pipe

#: So many tokens are written, of which some may be at a costly place.
TOKENS = 32


def main(connection: Connection) -> None:
    """Try what comes, until the pipe is closed."""
    os.nice(10)
    trials: Trials = connection.recv()
    compiler = Compiler(genai.Tokenizer(trials.folder), trials.vocabulary)
    memory = psutil.Process().memory_info
    child.limit(trials.bytes)
    connection.send(None)
    while True:
        ties = connection.recv()
        before = memory().rss
        for tokens, seconds in ((1, trials.compiling), (TOKENS, trials.writing)):
            _end_after(seconds)
            compiler.write(ties, tokens)
        _end_after(0)
        connection.send(memory().rss - before)


def _end_after(seconds: float) -> None:
    """End this process after so much CPU time; 0 is never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)


if __name__ == "__main__":
    on_pipe(main)
