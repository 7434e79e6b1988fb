"""A rule of a sandbox: a condition, and what is done when it holds."""

from dataclasses import dataclass
from enum import StrEnum

from canary.rules.condition import Condition


class Action(StrEnum):
    """What a rule does when it fires."""

    KILL = "kill_container"
    THROTTLE = "throttle"
    SHUTDOWN = "graceful_shutdown"
    ALERT = "alert"


DOES = {
    Action.KILL: "the container is killed at once",
    Action.THROTTLE: "its CPU is halved until the rule clears",
    Action.SHUTDOWN: "the container is asked to stop, and killed when its grace is over",
    Action.ALERT: "people are told",
}
"""In words."""


@dataclass(frozen=True)
class SafetyRule:
    """One rule. Names are unique. `text`: the condition as it was written. `alert`: people are told, too."""

    name: str
    text: str
    condition: Condition
    action: Action
    alert: bool = False

    @property
    def alerts(self) -> bool:
        """Whether people are told when it fires or clears."""
        return self.alert or self.action is Action.ALERT
