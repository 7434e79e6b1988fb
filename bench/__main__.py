"""Lists and runs the benches.

    python -m bench              all of them, one after another
    python -m bench --list       what there is
    python -m bench startup ...  these only

A bench is a file here that can be run: it prints its figures and exits with 0 when they are as promised.
"""

import ast
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent


def benches(folder: Path = HERE) -> Mapping[str, str]:
    """Name and first line of every bench: of every file with a `__main__` part, this one left out."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name != "__main__.py" and 'if __name__ == "__main__":' in text:
            told = ast.get_docstring(ast.parse(text)) or ""
            found[path.stem] = told.partition("\n")[0]
    return found


def run(names: Sequence[str]) -> int:
    """Run these, all of them whatever happens; 0 when every one kept its promise."""
    missed = []
    for name in names:
        print(f"== {name}", flush=True)
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=HERE.parent, check=False)
        print(f"== {name}: exit {done.returncode}, {time.monotonic() - began:.0f} s\n", flush=True)
        missed += [name] if done.returncode else []
    if missed:
        print(f"missed: {', '.join(missed)}")
    return 1 if missed else 0


def main(arguments: Sequence[str]) -> int:
    """List or run."""
    known = benches()
    if "--list" in arguments:
        print("\n".join(f"{name:<12} {told}" for name, told in known.items()))
        return 0
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"no such bench: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    return run(arguments or list(known))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
