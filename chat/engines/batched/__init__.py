"""Many replies at once by transformers, over one pool of keys and values."""
