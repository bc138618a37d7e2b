"""Fourbit Chat: one message's way from the browser to the model and back."""

from chat.allocator import grow_segments

__version__ = "0.1.0"

# Here, where all that imports torch has come by before.
grow_segments()
