"""Conditions over time, as people write them: their grammar, and what they come to. Pure."""
