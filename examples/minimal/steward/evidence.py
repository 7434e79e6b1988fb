"""What backups and drills have proved: one JSON file each, and a page for Prometheus."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steward.place import Place

PAGE = "project_ai.prom"
"""For node_exporter: `--collector.textfile.directory` is the folder of evidence."""


def stamp(at: float) -> str:
    """A time (unix s) as RFC 3339, to the second, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compact(at: float) -> str:
    """The same for names of files."""
    return stamp(at).replace("-", "").replace(":", "")


def write(place: Place, kind: str, at: float, document: Mapping[str, Any]) -> Path:
    """Write down what was proved, and the page anew; the file.

    Args:
        kind: `backup` or `restore-drill`.
        at: unix s.
        document: the other keys; those that are None are left out.
    """
    place.evidence.mkdir(parents=True, exist_ok=True)
    place.evidence.chmod(0o755)  # nothing secret is in it, and others gather it
    whole = {"kind": kind, "at": stamp(at), **{k: v for k, v in document.items() if v is not None}}
    path = place.evidence / f"{kind}-{compact(at)}.json"
    number = 1
    while path.exists():
        number += 1
        path = place.evidence / f"{kind}-{compact(at)}-{number}.json"
    write_whole(path, json.dumps(whole, indent=2) + "\n")
    write_whole(place.evidence / PAGE, page(read(place)))
    return path


def read(place: Place) -> list[dict[str, Any]]:
    """All that was proved, the oldest first. What is no such document is left out."""
    found = []
    for path in place.evidence.glob("*.json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if {"kind", "at", "ok"} <= document.keys():
                found.append({**document, "path": str(path)})
        except (OSError, ValueError, AttributeError):
            continue
    return sorted(found, key=lambda one: (str(one["at"]), one["path"]))


def last_good(found: list[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    """The newest of a kind that went well."""
    return next((one for one in reversed(found) if one["kind"] == kind and one["ok"] is True), None)


def seconds(at: str) -> float:
    """Unix seconds of a time as we write it."""
    return datetime.fromisoformat(at).timestamp()


def page(found: list[dict[str, Any]]) -> str:
    """What Prometheus is told, in the text format."""
    lines = []
    for kind, name in (("backup", "project_ai_backup"), ("restore-drill", "project_ai_restore_drill")):
        these = [one for one in found if one["kind"] == kind]
        good = last_good(found, kind)
        if these:
            lines.append(f"# TYPE {name}_last_ok gauge")
            lines.append(f"{name}_last_ok {int(these[-1]['ok'] is True)}")
        if good:
            lines.append(f"# TYPE {name}_last_success_timestamp_seconds gauge")
            lines.append(f"{name}_last_success_timestamp_seconds {seconds(good['at']):.0f}")
        if good and "rto_s" in good:
            lines.append(f"# TYPE {name}_rto_seconds gauge")
            lines.append(f"{name}_rto_seconds {good['rto_s']}")
    return "\n".join(lines) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all, readable for the one who gathers it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(0o644)
    os.replace(part, path)
