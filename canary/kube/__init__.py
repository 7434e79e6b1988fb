"""The runtime for Kubernetes: plain Deployments, driven over the ports with one namespaced Role."""
