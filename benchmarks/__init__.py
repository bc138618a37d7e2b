"""Measurements that others can repeat: `python -m benchmarks`, and its parts by their names."""
