"""One message in, the reply so far out: text and token ids, and no door and no model library."""
