"""chat.interrupts: an interrupt that falls into a callback is not lost."""

import subprocess
import sys

#: Interrupted while a weak reference is told that what it was for is gone; and waits for it then.
PROGRAM = """
import _thread, time, weakref
from chat import interrupts

class Lock:
    pass

def forget(_):
    _thread.interrupt_main()
    for _ in range(1000):
        pass

interrupts.keep()
lock = Lock()
reference = weakref.ref(lock, forget)
try:
    del lock
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_within_a_callback_comes_again() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=True)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_what_else_is_ignored_is_told_as_ever() -> None:
    program = PROGRAM.replace("_thread.interrupt_main()", "raise ValueError").replace("(20)", "(0)")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=True)
    assert "ValueError" in done.stderr
