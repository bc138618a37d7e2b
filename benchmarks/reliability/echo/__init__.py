"""The app with an engine that says what it heard, and in which anything fails when asked to."""
