"""What commands print: data as JSON, YAML or text on stdout; words and faults on stderr."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TextIO

from canary.errors import CanaryError, InvalidError
from canary.view.plain import dumps


class Output(StrEnum):
    """How data is printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def emit(document: object, output: Output, text: str) -> None:
    """Print one document: as it is for programs, or its text for people."""
    if output is Output.TEXT:
        print_line(text)
    elif output is Output.JSON:
        print_line(json_text(document, indent=2))
    else:
        print_line(yaml_text(document).rstrip("\n"))


def emit_each(documents: Sequence[object], output: Output, texts: Sequence[str]) -> None:
    """Print several documents, each on its own: JSON lines, YAML documents, or lines of text."""
    for document, text in zip(documents, texts, strict=True):
        if output is Output.TEXT:
            print_line(text)
        elif output is Output.JSON:
            print_line(json_text(document))
        else:
            print_line("---\n" + yaml_text(document).rstrip("\n"))


def json_text(document: object, *, indent: int | None = None) -> str:
    """JSON; what JSON cannot hold (infinity) is null."""
    return dumps(document, indent=indent)


def yaml_text(document: object) -> str:
    """YAML, keys in the order in which they were put; what JSON cannot hold is null here too."""
    import json

    import yaml

    plain = json.loads(json_text(document))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100))


def print_line(text: str) -> None:
    """To stdout; what its encoding cannot show becomes `?`."""
    _write(sys.stdout, text)


def say(text: str) -> None:
    """To stderr: words for people."""
    _write(sys.stderr, text)


def say_fault(fault: CanaryError) -> None:
    """What happened, every fault with its place, and what to do."""
    say(f"error: {fault.message}")
    for line in fault.faults if isinstance(fault, InvalidError) else ():
        say(f"  {line}")
    if fault.remedy:
        say(fault.remedy)


def fault_document(fault: CanaryError) -> Mapping[str, object]:
    """The same for programs."""
    return {
        "error": fault.message,
        "faults": list(fault.faults) if isinstance(fault, InvalidError) else [],
        "remedy": fault.remedy,
        "exit_code": int(fault.exit),
    }


def asked_output(arguments: Sequence[str]) -> Output:
    """What `-o` asks for, read from the raw arguments: faults are told before, or without, any parsing."""
    found = ""
    for i, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument in {"-o", "--output"} and i + 1 < len(arguments):
            found = arguments[i + 1]
        elif argument.startswith("--output="):
            found = argument.removeprefix("--output=")
        elif argument.startswith("-o") and argument != "-o":
            found = argument.removeprefix("-o")
    return Output(found) if found in set(Output) else Output.TEXT


def _write(stream: TextIO, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
