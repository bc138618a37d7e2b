"""Points of failure, and what those who chat see of each."""
