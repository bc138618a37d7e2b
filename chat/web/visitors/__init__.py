"""Who asks, what they may have, and for how long they may take to ask."""
