"""Fourbit Chat: one message's way from the browser to the model and back."""

__version__ = "0.1.0"
