#!/usr/bin/python3
"""A server that counts requests in the volume /data, and writes there when SIGTERM has ended it."""
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

COUNT, EVENTS = Path("/data/count"), Path("/data/events.log")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/count":
            count = int(COUNT.read_text()) + 1 if COUNT.exists() else 1
            COUNT.write_text(str(count))
            body = str(count)
        elif self.path == "/events":
            body = EVENTS.read_text() if EVENTS.exists() else ""
        else:
            body = "up"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


def end(*_):
    with EVENTS.open("a") as events:
        events.write("SIGTERM\n")
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
HTTPServer(("", 8000), Handler).serve_forever()
