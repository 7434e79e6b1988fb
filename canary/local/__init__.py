"""The local runtime: a service as real processes on this host, and its state on disk."""
