"""Which process of which machine this is, and whether another one of it has ended.

Only Linux tells it: each boot has an id, and a process is known by its number and its start, counted in ticks
since the boot, which no setting of a clock moves. Elsewhere nothing is told, and so nothing proved.
"""

import os
from pathlib import Path

PROC = Path("/proc")


class ThisMachine:
    """Implements `ports.Witness` for the processes of one boot and one namespace of process ids.

    Args:
        proc: where the kernel shows its processes.
    """

    kind = "process"

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc

    def mark(self) -> str:
        """This process: `BOOT/PID-NAMESPACE/TIME-NAMESPACE/PID/START`; empty where it cannot be told."""
        try:
            # Of another namespace, as when a container is shown its host's: these are not our numbers.
            if os.readlink(self._proc / "self") != str(os.getpid()):
                return ""
            boot = (self._proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            spaces = [str((self._proc / "self/ns" / one).stat().st_ino) for one in ("pid", "time")]
            start, _ = self._of(os.getpid())
        except (OSError, ValueError, IndexError):
            return ""
        return "/".join((boot, *spaces, str(os.getpid()), start))

    def ended(self, mark: str) -> bool:
        """Whether the process of this mark has ended, and with it all that it had open."""
        mine, theirs = self.mark().split("/"), mark.split("/")
        if len(theirs) != len(mine) or len(mine) < 5 or theirs[:3] != mine[:3]:
            return False
        pid = int(theirs[3]) if theirs[3].isdecimal() else 0
        return pid > 0 and (not _exists(pid) or self._is_another(pid, theirs[4]))

    def _is_another(self, pid: int, start: str) -> bool:
        """Whether the number was given anew, or what is left of the process only waits to be buried."""
        try:
            found, state = self._of(pid)
            # Its first thread may have ended alone: the others go on, with all its connections.
            alone = os.listdir(self._proc / str(pid) / "task") == [str(pid)]
        except (OSError, ValueError, IndexError):
            # It may be hidden from us.
            return False
        return found != start or (state == "Z" and alone)

    def _of(self, pid: int) -> tuple[str, str]:
        """Start and state of a process."""
        # Its name, in brackets, may hold anything.
        fields = (self._proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return fields[19].decode(), fields[0].decode()


def _exists(pid: int) -> bool:
    """Asked of the kernel itself: processes of others may be hidden in what it shows."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
