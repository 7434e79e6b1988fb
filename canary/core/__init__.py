"""The pure core: what a release is and what to do next. No clock, no IO, no randomness."""
