"""Makes the lock of the image: every package in it, with the hashes of its files.

    python deploy/lock.py

Run it after requirements.txt has changed; with --upgrade it raises what those bring along too.
Torch comes in two builds. That for CUDA is locked, with what only it needs, in a file of its own;
that for CPUs comes from torch's own index, which is asked only where the image is built.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
LOCK, CUDA = ROOT / "requirements-lock.txt", ROOT / "requirements-lock-cu130.txt"
#: Python and the platform of the image (Dockerfile).
IMAGE = ("--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28")
#: What torch's build for CPUs does without, and that itself.
OF_CUDA = re.compile(r"^(torch|triton|nvidia-|cuda-)", re.MULTILINE)
HEAD = "# Made by deploy/lock.py: what is in the image, and the hashes of its files.\n"


def main(arguments: list[str]) -> None:
    """Write both files.

    Raises:
        subprocess.CalledProcessError: uv finds no packages that go together, or no registry.
    """
    dev = (ROOT / "requirements-dev.txt").read_text()
    pins = (ROOT / "requirements.txt").read_text() + "".join(re.findall(r"^uv==.*\n", dev, re.M))
    told = ("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url")
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "lock.txt"
        # What is there is kept, unless it is to be raised.
        whole.write_text("".join(file.read_text() for file in (LOCK, CUDA) if file.exists()))
        command = ["uv", "pip", "compile", "-", "-o", str(whole), *told, *IMAGE, *arguments]
        subprocess.run(command, input=pins, text=True, check=True, stdout=subprocess.DEVNULL)
        packages = re.split(r"\n(?=\w)", whole.read_text().strip())
    for file, cuda in ((LOCK, False), (CUDA, True)):
        chosen = [one for one in packages if bool(OF_CUDA.match(one)) == cuda]
        file.write_text(HEAD + "".join(f"{one}\n" for one in chosen))


if __name__ == "__main__":
    main(sys.argv[1:])
