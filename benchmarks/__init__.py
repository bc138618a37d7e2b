"""Measurements that others can repeat: `python -m benchmarks`, and `.compose`, `.reencode`."""
