"""Measurements that others can repeat; each module is a command and says what it measures."""
