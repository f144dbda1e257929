"""The outside world: a mailbox that speaks SMTP, and a webhook receiver that speaks HTTP."""

import email
import json
import threading
import time
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeVar

from aiosmtpd.controller import Controller

T = TypeVar("T")


class Mailbox:
    """A real SMTP server that keeps what it receives."""

    def __init__(self, port: int) -> None:
        self.messages: list[Message] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=port)

    def start(self) -> None:
        """Listen."""
        self._controller.start()

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002
        """Keep one message."""
        self.messages.append(email.message_from_bytes(envelope.content))
        return "250 OK"

    def text_of(self, address: str) -> str:
        """Return the text of everything that was sent to the address."""
        found = []
        for message in self.messages:
            if address in str(message["To"]):
                for part in message.walk():
                    payload = part.get_payload(decode=True)
                    if isinstance(payload, bytes):
                        found.append(payload.decode())
        return "\n".join(found)


class Hook(NamedTuple):
    """A webhook as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class HookReceiver:
    """A real HTTP server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        kept = self.hooks

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(length)
                kept.append(Hook({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing: the demo narrates."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks"

    def start(self) -> None:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float = 60) -> T:
    """Return what ``look`` finds; raises ``AssertionError`` when it does not come in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    message = f"waited {timeout_s:.0f} s in vain for {what}"
    raise AssertionError(message)
