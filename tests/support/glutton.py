"""A process that takes what it is told to, under a limit of 100 MB and a second."""

import os
import sys
from pathlib import Path

from chat import child


def main(what: str, where: str = "") -> None:
    child.limit(100_000_000, 1)
    match what:
        case "memory":
            print(len(bytearray(200_000_000)))
        case "time":
            while True:
                pass
        case "crash":
            os.abort()
        case "write":
            Path(where).write_text("a" * 10)
        case "sleep":
            sys.stdin.close()
            os.read(os.open(where, os.O_RDONLY), 1)
        case "environment":
            print(*os.environ)
        case _:
            sys.stdout.write(sys.stdin.read()[::-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
