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


def reason(fault: Exception) -> str:
    """The first line of what a database's driver said: the rest holds statements and values."""
    said = str(getattr(fault, "orig", None) or fault).strip()
    return said.splitlines()[0] if said else type(fault).__name__
