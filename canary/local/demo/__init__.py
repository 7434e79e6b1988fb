"""The demo: a small real shop with versions that fail in known ways, load for it, and a guided tour."""
