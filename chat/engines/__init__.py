"""Engines: what runs a model. They take token ids and give token ids, and know no text."""
