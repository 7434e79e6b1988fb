"""How a workload comes to what is asked of it: which replicas to take away, how many to start. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """A replica as the rule sees it: its revision, whether it is ready, when it was born."""

    name: str
    revision: str
    ready: bool
    born: float


@dataclass(frozen=True)
class Change:
    """What to do now. `remove`: names, taken out of balancing in this order."""

    create: int
    remove: tuple[str, ...]


def next_change(members: Sequence[Member], revision: str, replicas: int, room: tuple[int, int]) -> Change:
    """The next move of a rolling update, as a Deployment makes it.

    Replicas that are ready never fall below `replicas - unavailable` by our doing, and there are never
    more than `replicas + surge` of them, leaving out those on their way out.

    Args:
        members: replicas that are not on their way out, of any revision.
        revision: hash of the wanted template. replicas: how many are wanted, >= 0.
        room: (surge, unavailable), >= 0; both 0 counts as a surge of 1, or nothing could ever move.
    """
    unavailable = min(room[1], replicas)
    surge = room[0] if room[0] > 0 or unavailable > 0 else 1
    new = [one for one in members if one.revision == revision]
    old = [one for one in members if one.revision != revision]
    # What cannot serve goes first: taking it away costs nothing and makes room. Of the wanted revision the
    # youngest go, since the older ones have proved themselves.
    surplus = sorted(new, key=lambda one: (one.ready, -one.born))[: max(0, len(new) - replicas)]
    candidates = sorted(old, key=lambda one: (one.ready, one.born)) + surplus
    spare = sum(one.ready for one in members) - (replicas - unavailable)
    remove = []
    for one in candidates:
        if one.ready:
            if spare <= 0:
                continue
            spare -= 1
        remove.append(one.name)
    left = len(members) - len(remove)
    ceiling = replicas + (surge if old else 0)
    create = max(0, min(replicas - (len(new) - len(set(remove) & {one.name for one in new})), ceiling - left))
    return Change(create, tuple(remove))
