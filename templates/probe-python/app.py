"""The probe {{name}}: says hello to a server, and is ready when the answer is the expected one."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.settings import Problem
from wit_world.imports import dial, log
from wit_world.imports.types import (
    Context,
    Denial_Refused,
    Denial_TimedOut,
    Pending,
    Verdict,
    Verdict_Failed,
    Verdict_Pending,
    Verdict_Ready,
)

# The settings, with their defaults. `settings.schema.json` describes them.
DEFAULTS = {"send": "", "expect": ""}
# The probe stops reading an answer at this length.
MOST_BYTES = 4096


class Check(exports.Check):
    def check(self, context: Context) -> Verdict:
        """One poll. Each poll starts with fresh memory."""
        settings = DEFAULTS | json.loads(context.settings)
        if context.port is None:
            return Verdict_Failed("this sidecar has no port")
        try:
            answer = ask(context.host, context.port, settings)
        except Err as error:
            return pending(reason(error.value))
        log.write(log.Level.DEBUG, f"the server answered {len(answer)} bytes")
        if settings["expect"].encode() in answer:
            return Verdict_Ready()
        return pending(f"the answer lacks {settings['expect']!r}")


class Settings(exports.Settings):
    def validate(self, settings: str) -> None:
        """Runs when farrier validates definitions, before it starts any container."""
        problems = []
        for name, value in json.loads(settings).items():
            if name not in DEFAULTS:
                problems.append(Problem(name, f"unknown setting; expected one of: {', '.join(DEFAULTS)}"))
            elif not isinstance(value, str):
                problems.append(Problem(name, "must be a string"))
        if problems:
            raise Err(problems)


def ask(host: str, port: int, settings: dict) -> bytes:
    with dial.connect(host, port, None) as connection:
        if settings["send"]:
            connection.write(settings["send"].encode())
        answer = b""
        expected = settings["expect"].encode()
        while expected not in answer and len(answer) < MOST_BYTES:
            more = connection.read(MOST_BYTES)
            if not more:
                break
            answer += more
        return answer


def pending(text: str) -> Verdict:
    return Verdict_Pending(Pending(text, None, None))


def reason(denial) -> str:
    if isinstance(denial, Denial_Refused):
        return "connection refused"
    if isinstance(denial, Denial_TimedOut):
        return "no answer in time"
    return str(getattr(denial, "value", type(denial).__name__))
