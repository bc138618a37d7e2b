"""Ray Serve on two nodes of this machine: what dies, and what those who chat notice of it."""
