"""What can go wrong with a test cluster, sorted by what to do next."""


class ClusterError(Exception):
    """The cluster did not come up or does not answer: a fault to look into, in the logs that it names."""


class LackingError(ClusterError):
    """This machine lacks something that no script can bring: the tests that need it are skipped, by name."""
