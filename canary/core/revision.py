"""A revision: a pod template plus references to its configuration, known by its hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Revision:
    """What a set of pods runs.

    Attributes:
        hash: identity; derived from template and config by `template_hash`.
        version: the tag as a person says it.
        template: the raw template document (JSON values), kept whole so that it can be restored.
        config: names of configuration that belongs to it and that the template does not tell itself.
        number: its number in the target's history, if the runtime numbers them.
    """

    hash: str
    version: str
    template: Mapping[str, Any] = field(default_factory=dict)
    config: tuple[str, ...] = ()
    number: int | None = None


@dataclass(frozen=True)
class Limits:
    """What one pod of a target may use at most, as far as anybody has said.

    Attributes:
        memory_bytes: above 0, or None. cpu_cores: above 0, or None.
    """

    memory_bytes: float | None = None
    cpu_cores: float | None = None


def template_hash(template: Mapping[str, Any], config: tuple[str, ...] = ()) -> str:
    """Ten hexadecimal digits that tell templates apart; equal documents give equal hashes."""
    text = json.dumps([template, list(config)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]
