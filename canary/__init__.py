"""Canary: progressive delivery that decides by itself."""

__version__ = "0.1.0"
