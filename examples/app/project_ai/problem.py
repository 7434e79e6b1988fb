"""What stops the service or one of its commands: said to people, with what to do."""


class ProblemError(Exception):
    """A fault that somebody can mend.

    Args:
        message: what was found, and where.
        remedy: what to do.
        code: exit status; 2: usage or settings are wrong, nothing was touched; 1: the database said no.
    """

    def __init__(self, message: str, *, remedy: str, code: int = 2) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code
