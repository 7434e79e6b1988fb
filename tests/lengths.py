"""No file over 400 lines, no function over 40: `python -m tests.lengths`. Prints what is, exits 1."""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 40
FOLDERS = ("canary", "analysis", "tests", "bench", "examples")
ROOT = Path(__file__).parent.parent


def too_long(root: Path) -> list[str]:
    """One line for each file and function that is too long: place, what was found, what is wanted."""
    found: list[str] = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(root)
            lines = len(text.splitlines())
            if lines > FILE_LINES:
                found.append(f"{name}: {lines} lines, wanted at most {FILE_LINES}: split it")
            found.extend(f"{name}:{fault}" for fault in _long_functions(ast.parse(text, str(name))))
    return found


def _long_functions(tree: ast.Module) -> Iterator[str]:
    """Functions by their lines from `def` to the end, the docstring left out: it is there to be long."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            if lines > FUNCTION_LINES:
                wanted = f"wanted at most {FUNCTION_LINES}: split it"
                yield f"{node.lineno}: `{node.name}` has {lines} lines without its docstring, {wanted}"


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is None:
        return 0
    return (first.end_lineno or first.lineno) - first.lineno + 1


def main(arguments: Sequence[str]) -> int:
    """Check the checkout, or the folder given; the exit code."""
    found = too_long(Path(arguments[0]) if arguments else ROOT)
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
