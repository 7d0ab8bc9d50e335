"""An MCP server of the official SDK, over streamable HTTP, from PyPI. Says its port on its first line. A connection is
accepted before the server runs: it runs once a line comes in. With `json` as the first argument it answers in JSON, otherwise
in events; with `CERTIFICATE KEY` as the next ones it speaks TLS."""

import socket
import sys

import uvicorn
from mcp.server.fastmcp import FastMCP

server = FastMCP("orders", json_response=sys.argv[1] == "json")
certificate, key = sys.argv[2:] or (None, None)


@server.tool()
def total(numbers: list[int]) -> int:
    """Adds numbers up."""
    return sum(numbers)


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.readline()
application = server.streamable_http_app()
configuration = uvicorn.Config(application, log_level="info", ssl_certfile=certificate, ssl_keyfile=key)
uvicorn.Server(configuration).run(sockets=[listener])
