"""A probe in Python with Python's own sockets: ready when the server sends back what it was sent."""

# What is not imported while the component is made is not in it, and `socket` looks for this one when it resolves.
import encodings.idna  # noqa: F401
import socket

from wit_world import exports
from wit_world.imports.types import Pending, Verdict_Pending, Verdict_Ready


def pending(reason):
    return Verdict_Pending(Pending(reason=reason, retry_after_ms=None, extend_ms=None))


class Check(exports.Check):
    def check(self, context):
        try:
            with socket.create_connection((context.host, context.port), timeout=1) as stream:
                stream.sendall(b"ping\n")
                answer = stream.recv(5)
        except OSError as error:
            return pending(f"error: {error}")
        if answer == b"ping\n":
            return Verdict_Ready()
        return pending(f"it says {answer!r}")
