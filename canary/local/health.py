"""Asking a replica whether it is ready: one HTTP GET, without a client library, in the event loop."""

import asyncio
import contextlib


async def probe(port: int, path: str, timeout_s: float) -> str | None:
    """Ask once.

    Args:
        port: on 127.0.0.1. path: of the health page. timeout_s: for the whole.

    Returns:
        None when it answered 2xx, else in words what happened instead.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(port, path)
    except TimeoutError:
        return f"no answer from {path} within {timeout_s:g} s"
    except ConnectionRefusedError:
        return f"nothing listens on its port ({port}) yet"
    except OSError as fault:
        return f"{path} could not be asked: {fault.strerror or fault}"


async def _ask(port: int, path: str) -> str | None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = (
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "User-Agent: canary-health",
            "Connection: close",
        )
        writer.write("\r\n".join((*head, "", "")).encode())
        await writer.drain()
        line = (await reader.readline())[:200].decode(errors="replace").split(None, 2)
    except ValueError:
        line = []
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if len(line) < 2 or not line[0].startswith("HTTP/") or not line[1].isdigit():
        return f"{path} did not answer in HTTP"
    return None if 200 <= int(line[1]) < 300 else f"{path} answered {line[1]}"
