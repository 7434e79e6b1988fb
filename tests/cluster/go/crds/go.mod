module canary.test/crds

go 1.24.0

// Only its definitions are read: nothing of it is built.
require github.com/external-secrets/external-secrets v0.16.2
