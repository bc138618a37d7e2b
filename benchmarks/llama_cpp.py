"""llama.cpp's server with the embedded model, for `python -m benchmarks --against`.

    python -m benchmarks.llama_cpp [--port 8080] FOLDER [-- flags of llama-server]

Builds it in FOLDER the first time, for the processor that is there: from the sources that
llama-cpp-python publishes, fetched with pip, by cmake and a C++ compiler. Then serves until it is
interrupted, with room for 16 people, as the app has it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from chat.models import embedded
from chat.settings import Settings

SOURCES = "llama-cpp-python==0.3.36"
OPTIONS = ("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF")
#: Replies at once, and the tokens of each with its conversation: what the benchmark needs.
PEOPLE, WINDOW = 16, 4096


def main() -> None:
    """Build it unless it is there, and become it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llama_cpp", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, help="where it is built, and stays")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("flags", nargs="*", metavar="-- flags", help="flags of llama-server")
    chosen = parser.parse_args()
    model = embedded.path(Settings().cache_dir)
    if not model.exists():
        sys.exit("Start the app once, so that the embedded model is there.")
    server = built(chosen.folder.resolve())
    settings = {
        "--model": model,
        "--port": chosen.port,
        "--parallel": PEOPLE,
        "--ctx-size": PEOPLE * WINDOW,
        "--threads": os.cpu_count(),
    }
    told = [str(word) for pair in settings.items() for word in pair]
    os.execv(server, [str(server), *told, *chosen.flags])


def built(folder: Path) -> Path:
    """Return llama-server, which is built the first time."""
    server = folder / "build" / "bin" / "llama-server"
    if not server.exists():
        if missing := [name for name in ("cmake", "c++") if not shutil.which(name)]:
            sys.exit(f"To build it takes {' and '.join(missing)}.")
        folder.mkdir(parents=True, exist_ok=True)
        fetch = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-binary=llama-cpp-python",
        ]
        _run(*fetch, f"--dest={folder}", SOURCES)
        with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as packed:
            packed.extractall(folder, filter="data")
        source = next(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))
        _run("cmake", "-S", source, "-B", folder / "build", *OPTIONS)
        jobs = f"--parallel={os.cpu_count()}"  # else make starts all of them at once
        _run("cmake", "--build", folder / "build", "--target", "llama-server", jobs)
    return server


def _run(*command: str | Path) -> None:
    try:
        subprocess.run(command, check=True)
    except subprocess.CalledProcessError:
        sys.exit("It could not be built; the reason is above.")


if __name__ == "__main__":
    main()
