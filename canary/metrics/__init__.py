"""Where counters come from: straight from the pods, or from a Prometheus server."""
