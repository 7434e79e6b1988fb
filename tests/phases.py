"""The table of phases in docs/architecture.md, drawn from the code: `python -m tests.phases` writes it."""

from pathlib import Path

from canary.core.release import MOVES, SETTLED

DOCUMENT = Path(__file__).parent.parent / "docs" / "architecture.md"
BEGIN, END = "<!-- phases -->", "<!-- /phases -->"


def table() -> str:
    """Markdown: each phase and where it may go."""
    rows = ["| phase | may go on to |", "|---|---|"]
    for phase, allowed in MOVES.items():
        onward = [f"`{other}`" for other in MOVES if other in allowed]
        settled = "the end" if phase in SETTLED else ""
        rows.append(f"| `{phase}` | {', '.join(onward) or settled} |")
    return "\n".join(rows)


def documented(text: str) -> str:
    """What stands between the marks.

    Raises:
        ValueError: the marks are not there once each, in order.
    """
    _, _, rest = text.partition(BEGIN)
    inside, mark, _ = rest.partition(END)
    if not mark or text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{DOCUMENT.name}: wanted one `{BEGIN}` and after it one `{END}`")
    return inside.strip()


def main() -> None:
    """Write the table into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    documented(text)
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
