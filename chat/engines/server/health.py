"""Whether a server is there, and still the one that it was, asked now and then."""

import logging
import threading
import time

from chat.core.engine import State
from chat.engines.server.probe import Away, Full, Same
from chat.errors import describe

#: Seconds between two questions, and between two while nobody answers or it is doubted who does.
EVERY, DOUBTED = 5.0, 0.5
#: Seconds for which an answer holds, and that the thread is waited for at the end.
HOLDS, PATIENCE = 15.0, 5.0

log = logging.getLogger(__name__)


class Health:
    """Asks in a thread of its own, from when it is known that there is a server."""

    def __init__(self, same: Same) -> None:
        self._same = same
        self._answered = time.monotonic()
        self._doubt = self._away = False
        #: Whether another model answers than the one whose tokens are ours.
        self.other = False
        self._closed = False
        self._stir = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """It is never "failed": what is gone may come back."""
        there = time.monotonic() - self._answered < HOLDS
        return "ready" if there and not self.other else "loading"

    def doubt(self) -> None:
        """Look at once: what answered has ended, and another one may come."""
        if not self._doubt:
            self._doubt = True
            self._stir.set()

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._stir.set()
        self._thread.join(PATIENCE)

    def _watch(self) -> None:
        while not self._closed:
            self._stir.wait(DOUBTED if self._doubt else EVERY)
            self._stir.clear()
            if not self._closed:
                self._look()

    def _look(self) -> None:
        doubted, self._doubt = self._doubt, False
        try:
            same = self._same(doubted=doubted or self.other)
        except Full:
            self._answered = time.monotonic()
            self._doubt = doubted
            return
        except Away as error:
            if not self._away:
                log.warning("%s", error)
            self._away = self._doubt = True
            return
        except Exception as error:  # whatever came in place of an answer, it is to be asked again
            log.error("%s", describe(error))
            self._doubt = True
            return
        self._answered = time.monotonic()
        if self._away:
            log.warning("The model's server answers again.")
        self._away = False
        if same is None:
            self._doubt = True
            return
        if self.other == same:
            log.error(
                "The server runs %s.",
                "the model of the start again" if same else "another model than at the start",
            )
        self.other = not same
