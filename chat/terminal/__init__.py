"""The chat without a page: in a terminal, through a pipe, or as completion of a text."""
