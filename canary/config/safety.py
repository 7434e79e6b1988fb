"""The rules of a sandbox, `safety_rules.yaml`: read whole, or all faults at once."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from canary.config.document import Document, Fault, parse
from canary.config.fields import Section, Text
from canary.config.load import raise_faults, text_of, told
from canary.rules.grammar import ConditionError
from canary.rules.grammar import parse as condition_of
from canary.safety.rule import Action, SafetyRule
from canary.safety.vocabulary import SafetyWords

REMEDY = "Nothing was started. Correct the file, and see `canary guard run --rules FILE --check`."


class RuleSection(Section):
    """One rule."""

    name: Text = Field(description='a name of its own, such as "Prevent network egress"')
    condition: Text = Field(description='a condition, such as "memory_usage > 90% for 30s"')
    action: Literal["kill_container", "throttle", "graceful_shutdown", "alert"] = Field(
        description="one of kill_container, throttle, graceful_shutdown, alert"
    )
    alert: bool = Field(default=False, description="whether people are told besides")


class RulesFile(Section):
    """The whole file."""

    rules: list[RuleSection] = Field(min_length=1, description="a list of rules, at least one")


def safety_rules(path: Path) -> tuple[SafetyRule, ...]:
    """The rules of a file, in their order.

    Raises:
        InvalidError: every fault, one line each with its line, and its column in the condition.
        MissingError: there is no such file. DeniedError: it may not be read.
    """
    document = parse(text_of(path, option="--rules"), "rules")
    faults = list(document.faults)
    rules: tuple[SafetyRule, ...] = ()
    if isinstance(document.values, dict):
        rules, found = _read(document)
        faults += found
    raise_faults(path, faults, REMEDY)
    return rules


def _read(document: Document) -> tuple[tuple[SafetyRule, ...], list[Fault]]:
    """The rules that are sound, and what is wrong with the others."""
    spoilt = {fault.place for fault in document.faults if fault.place}
    faults: list[Fault] = []
    try:
        RulesFile.model_validate(document.values)
    except ValidationError as wrong:
        details = [one for one in wrong.errors(include_url=False) if tuple(one["loc"]) not in spoilt]
        faults = [told(document, one, RulesFile) for one in details]
    listed = document.values.get("rules")
    rules: list[SafetyRule] = []
    taken: dict[str, int] = {}
    for number, values in enumerate(listed if isinstance(listed, list) else ()):
        rules += _rule(document, number, values, faults)
        name = values.get("name") if isinstance(values, dict) else None
        if isinstance(name, str):
            if name in taken:
                text = (
                    f"a second rule is called `{name}`, as rules[{taken[name]}]: each needs a name of its own"
                )
                faults.append(
                    Fault(document.line(("rules", number, "name")), ("rules", number, "name"), text)
                )
            taken.setdefault(name, number)
    return tuple(rules), faults


def _rule(document: Document, number: int, values: object, faults: list[Fault]) -> list[SafetyRule]:
    """A rule, if it is one; what is wrong with its condition is added to the faults."""
    text = values.get("condition") if isinstance(values, dict) else None
    if not isinstance(text, str) or not text:
        return []
    place = ("rules", number, "condition")
    try:
        condition = condition_of(text, SafetyWords())
    except ConditionError as fault:
        faults.append(Fault(document.line(place), place, fault.pointed))
        return []
    try:
        found = RuleSection.model_validate(values)
    except ValidationError:
        # Told already, with the whole file.
        return []
    return [SafetyRule(found.name, " ".join(text.split()), condition, Action(found.action), found.alert)]


__all__ = ["safety_rules"]
