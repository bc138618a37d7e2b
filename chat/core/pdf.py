"""The text of a PDF file, read in a process of its own: anyone may have made it."""

import io
import os
import sys

from chat import child

#: What a process may take: bytes of memory, and seconds of CPU time.
MEMORY, SECONDS = 1_000_000_000, 30
#: Pages, and characters after which no further page is read.
PAGES, CHARACTERS = 2000, 4_000_000


def main() -> None:
    """Write the text of the PDF file that is given, page after page, within limits."""
    os.nice(10)
    child.limit(MEMORY, SECONDS)
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(sys.stdin.buffer.read()))
    if reader.is_encrypted:
        reader.decrypt("")  # many can be read by everybody, and not be changed
    written = 0
    for page in reader.pages[:PAGES]:
        text = page.extract_text().strip()[: CHARACTERS - written + 1]
        sys.stdout.buffer.write(f"{text}\n\n".encode("utf-8", "replace"))
        written += len(text)
        if written > CHARACTERS:
            break


if __name__ == "__main__":
    main()
