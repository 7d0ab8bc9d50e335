"""A mail server (aiosmtpd) that knows one mailbox, and more as it is told to.

    smtp_server.py [CERTIFICATE KEY [implicit]]

prints its port. With a certificate, it offers STARTTLS and wants it before mail, or speaks TLS from the beginning. Each line on
its standard input is an address that it accepts from then on, or `busy`, after which it refuses every client.
"""

import asyncio
import ssl
import sys

from aiosmtpd.smtp import SMTP

known = {"ops@example.test"}
is_busy = False


class Mailboxes:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        if is_busy:
            return ["421 4.3.2 too busy"]
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address not in known:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        print("mail arrived", flush=True)
        return "250 OK"


context = None
if len(sys.argv) > 2:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
is_implicit = "implicit" in sys.argv


def session():
    starttls = None if is_implicit else context
    return SMTP(Mailboxes(), tls_context=starttls, require_starttls=starttls is not None, loop=loop)


async def serve():
    global is_busy
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if is_implicit else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "busy":
            is_busy = True
        else:
            known.add(line.strip())
        print("known", flush=True)


loop = asyncio.new_event_loop()
loop.run_until_complete(serve())
