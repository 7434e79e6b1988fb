module canary.test/pause

go 1.24
