"""Whether replies are right on a GPU, and how fast they come: one run, one JSON object."""
