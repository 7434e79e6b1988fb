"""The releases of the service: what each can do, and which schemas of the database it reads.

One source tree; which release a process is, is said when it is built or started. What differs is code: each
release names the function that makes the answer of `GET /users/ID`.

| release | what is new | reads schemas |
|---|---|---|
| v1.0.0 | | 1 and 2 |
| v1.1.0 | users have an e-mail address; fails for those who have none | 2 |
| v1.1.1 | does not | 2 |
| v1.2.0 | users have no plan any more | 2 and 3 |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from project_ai.problem import ProblemError

Found = dict[str, Any]
"""A row of `users`: the columns that the release reads."""


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes:
        name: with a `v`, as in its tag.
        reads: the first and the last schema that it can work with.
        columns: what it reads of a user.
        shown: makes the answer for one user.
    """

    name: str
    reads: tuple[int, int]
    columns: tuple[str, ...]
    shown: Callable[[Found], Found]

    @property
    def version(self) -> str:
        """Without the `v`, as `/health` says it."""
        return self.name.removeprefix("v")

    @property
    def keeps_email(self) -> bool:
        """Whether it stores an e-mail address that it is given."""
        return "email" in self.columns

    def can_read(self, schema: int) -> bool:
        """Whether it can work with this schema; 0 is a database without one."""
        first, last = self.reads
        return first <= schema <= last


def _as_it_is(user: Found) -> Found:
    return dict(user)


def _with_domain_unchecked(user: Found) -> Found:
    # The defect of v1.1.0: whoever was there before the column is has no address to split.
    return user | {"domain": user["email"].split("@")[1]}


def _with_domain(user: Found) -> Found:
    email = user["email"]
    return user | {"domain": email.split("@")[1] if email else None}


_FIRST = ("id", "name", "plan", "created")
_MAILED = (*_FIRST, "email")
_UNPLANNED = ("id", "name", "created", "email")

RELEASES: dict[str, Release] = {
    one.name: one
    for one in (
        Release("v1.0.0", (1, 2), _FIRST, _as_it_is),
        Release("v1.1.0", (2, 2), _MAILED, _with_domain_unchecked),
        Release("v1.1.1", (2, 2), _MAILED, _with_domain),
        Release("v1.2.0", (2, 3), _UNPLANNED, _with_domain),
    )
}
LATEST_SCHEMA = max(one.reads[1] for one in RELEASES.values())


def release(name: str) -> Release:
    """The release of this name.

    Raises:
        ProblemError: there is none.
    """
    found = RELEASES.get(name)
    if found is None:
        raise ProblemError(
            f"there is no release {name!r}",
            remedy=f"Give one of {', '.join(RELEASES)} with --release or RELEASE.",
        )
    return found
