"""Fourbit Chat: one message's way from the browser to the model and back."""
