"""What a name tells: images that may be another one tomorrow, variables that hold secrets."""

import re
from collections.abc import Mapping
from typing import Any

from canary.preflight.facts import Named
from canary.preflight.restricted import containers

_SECRET = re.compile(
    r"(?:^|[_.-])(?:PGPASSWORD|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|SECRET|TOKEN|CREDENTIALS?|API_?KEY|KEY|DSN"
    r"|AUTH)(?:[_.-]?\d+)?$"
)
_PLAIN = re.compile(
    r"(?:^|[_.-])(?:PUBLIC|SORT|CACHE|PARTITION|PRIMARY|FOREIGN)_?KEY$|^(?:OLD)?PWD$|^GPG_KEY$"
)
"""Keys that are none; the shell's folders; and the fingerprint that images of Python carry."""
_URL_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@|\bpassword\s*=\s*\S", re.IGNORECASE)


def floating(image: str) -> bool:
    """Whether an image may be another one tomorrow: no tag, or `latest`; one by its digest never is."""
    if "@" in image:
        return False
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag in ("", "latest")


def floating_images(template: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of a pod template that may be others tomorrow; a template without a pod has none."""
    spec = template.get("spec") or {}
    images = (str(one.get("image", "")) for _, one in containers(spec))
    return tuple(dict.fromkeys(one for one in images if floating(one)))


def secret(name: str, value: str | None) -> str:
    """How one can tell that a variable holds a secret, in words without the value; empty: one cannot.

    Args:
        value: None: not known. A path to a file is none, and an empty text is none.
    """
    if value is not None and _URL_PASSWORD.search(value):
        return "its value has a password in it"
    upper = name.upper()
    if not _SECRET.search(upper) or _PLAIN.search(upper):
        return ""
    if value is not None and (not value or re.fullmatch(r"/[^\s:]*", value)):
        return ""
    return "its name says so"


def secrets(environment: Mapping[str, str]) -> tuple[Named, ...]:
    """The variables that hold secrets, by name; no value is kept."""
    found = ((name, secret(name, value)) for name, value in sorted(environment.items()))
    return tuple(Named(name, why) for name, why in found if why)
