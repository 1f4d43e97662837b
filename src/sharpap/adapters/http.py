"""One request over HTTP, with a deadline and a longest length for the whole answer; no proxy, no redirect."""

from __future__ import annotations

import http.client
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from sharpap.errors import ContractError, TrainingError

PIECE = 1 << 20


def post(url: str, path: str, body: bytes, kind: str, *, longest: int, seconds: float) -> tuple[bytes, str]:
    """Send a body to a service on this machine; the reply and its content type.

    Args:
        url: http://HOST:PORT and perhaps a path; checked by the caller.
        path: what is asked for below it, with its query.
        body: what is sent.
        kind: its content type.
        longest: bytes that the reply may have; no more are read.
        seconds: until the whole reply is there, however it trickles.

    Raises:
        TrainingError: no answer in time, or an error. ContractError: an answer that is too long.
    """
    parts = urlsplit(url)
    where = f"{url.rstrip('/')}/{path.partition('?')[0]}"
    connection = _Connection(parts.hostname or "", parts.port or 80, seconds)
    try:
        connection.request("POST", f"{parts.path.rstrip('/')}/{path}", body, {"Content-Type": kind})
        reply = connection.getresponse()
        if reply.status != 200:
            reason = f"{reply.reason} {reply.read(500).decode('utf-8', 'replace')}".strip()
            raise TrainingError(f"{where}: HTTP {reply.status} {reason[:700]}")
        content = bytearray()
        while len(content) <= longest and (piece := reply.read(min(PIECE, longest + 1 - len(content)))):
            content += piece
        if reply.length and len(content) <= longest:
            raise ValueError("its answer is shorter than it declares")
        found = reply.headers.get_content_type()
    except TimeoutError:
        raise TrainingError(f"{where} gave no answer within {seconds:g} seconds.", hint="Raise its timeout.") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        problem = (str(error) or type(error).__name__)[:500]
        raise TrainingError(f"{where}: {problem}.", hint="Is the service running?") from None
    finally:
        connection.close()
    if len(content) > longest:
        raise ContractError(f"{where} sent more than the {longest:,} bytes that its answer can have.")
    return bytes(content), found


class _Connection(http.client.HTTPConnection):
    """A connection that ends some seconds after it began, whatever it is doing."""

    def __init__(self, host: str, port: int, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds)
        self.deadline = time.monotonic() + seconds

    def connect(self) -> None:
        """Connect, and count the seconds of all that follows."""
        super().connect()
        made = _Timed(fileno=self.sock.detach())
        made.deadline = self.deadline
        self.sock = made


class _Timed(socket.socket):
    """A socket whose every wait is as long as what is left until a deadline, and not a time of its own."""

    deadline: float

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """See `socket.socket`; raises `TimeoutError` after the deadline."""
        self._count()
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """See `socket.socket`; its timeout is for all that is sent."""
        self._count()
        super().sendall(data, flags)

    def _count(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
