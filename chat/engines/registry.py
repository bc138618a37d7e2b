"""The engines that there are: what `--engine` may be and what `auto` takes follow from it.

To add one, write a package with an `entry` beside the others (`chat.engines.entry`),
name it here, and have `Settings` inherit its options.
"""

from chat.engines.batched.entry import BATCHED
from chat.engines.entry import Entry
from chat.engines.openvino.entry import OPENVINO
from chat.engines.server.entry import SERVER
from chat.engines.transformers.entry import TRANSFORMERS

#: By name; `auto` takes the first that is made for the hardware and can run the model.
ENGINES: dict[str, Entry] = {
    "server": SERVER,
    "openvino": OPENVINO,
    "batched": BATCHED,
    "transformers": TRANSFORMERS,
}
