"""Nothing lost, mixed or hung: faults, load and hostile input."""
