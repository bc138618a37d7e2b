"""From a model's name to its files, and from those to weights in memory."""
