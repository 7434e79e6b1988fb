"""Whether an HTTP/1.1 exchange is over, told from as little as possible: the head and a count. Pure."""

METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"PATCH ", b"DELETE ", b"OPTIONS ")


def is_whole(request: bytes, head: bytes, count: int, last: bytes) -> bool:
    """Whether the response is whole, so that nothing is lost when its connection to the replica closes.

    Where it cannot be told the answer is no: the connection is then given its time.

    Args:
        request: first bytes of the request. head: first bytes of the response.
        count: bytes of the response so far. last: its last bytes.
    """
    end = head.find(b"\r\n\r\n")
    if end < 0 or not request.startswith(METHODS) or not head.startswith(b"HTTP/1."):
        return False
    status = head[9:12]
    if status.startswith(b"1"):
        return False
    if request.startswith(b"HEAD ") or status in (b"204", b"304"):
        return count == end + 4
    length: int | None = None
    for line in head[:end].lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"transfer-encoding":
            whole = last == b"0\r\n\r\n" or last.endswith(b"\r\n0\r\n\r\n")
            return value.strip().endswith(b"chunked") and whole
        if name == b"content-length" and value.strip().isdigit():
            length = int(value)
    return length is not None and count == end + 4 + length
