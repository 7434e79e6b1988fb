"""The README's commands, as they stand there: blocks of `sh` with a name."""

import re

from tests.command import ROOT

SECURED = ROOT / "examples" / "secured"


def block(name: str) -> str:
    """The lines of the block that opens with ```sh NAME.

    Raises:
        KeyError: there is none.
    """
    return blocks()[name]


def blocks() -> dict[str, str]:
    """All of them, by name."""
    text = (SECURED / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^```sh (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
