"""Runs the probe in ordinary Python with simulated imports, without a container or WebAssembly."""

import json
import unittest
from unittest import mock

import app
from componentize_py_types import Err
from wit_world.imports.types import Context, Denial_Refused, Verdict_Pending, Verdict_Ready


class Connection:
    """A server that gives these answers, one per read, and then ends the stream."""

    def __init__(self, *answers: bytes):
        self.answers = list(answers)
        self.written = b""

    def read(self, max: int) -> bytes:
        return self.answers.pop(0) if self.answers else b""

    def write(self, bytes: bytes) -> None:
        self.written += bytes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def check(server, **settings):
    """One poll against a server: a connection, or the reason why there is none."""
    context = Context("web", "web", 8080, 1, 0, 30_000, json.dumps(settings))
    with mock.patch("app.dial.connect", side_effect=[server]), mock.patch("app.log.write"):
        return app.Check().check(context)


class TheProbe(unittest.TestCase):
    def test_is_ready_when_the_answer_comes_in_pieces(self):
        server = Connection(b"220 rea", b"dy\r\n")
        self.assertEqual(check(server, send="HELO\r\n", expect="ready"), Verdict_Ready())
        self.assertEqual(server.written, b"HELO\r\n")

    def test_waits_while_the_server_refuses(self):
        verdict = check(Err(Denial_Refused()))
        self.assertIsInstance(verdict, Verdict_Pending)
        self.assertEqual(verdict.value.reason, "connection refused")

    def test_waits_while_the_answer_differs(self):
        verdict = check(Connection(b"503 starting\r\n"), expect="ready")
        self.assertEqual(verdict.value.reason, "the answer lacks 'ready'")

    def test_the_schema_describes_the_settings(self):
        with open("settings.schema.json", encoding="utf-8") as file:
            properties = json.load(file)["properties"]
        self.assertEqual({name: schema["default"] for name, schema in properties.items()}, app.DEFAULTS)

    def test_mistakes_in_settings_are_named(self):
        with self.assertRaises(Err) as raised:
            app.Settings().validate('{"sned": "x", "expect": 1}')
        self.assertEqual([problem.path for problem in raised.exception.value], ["sned", "expect"])


if __name__ == "__main__":
    unittest.main()
