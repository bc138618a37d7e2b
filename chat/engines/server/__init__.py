"""A model that runs on another machine, or in another process, behind HTTP."""
