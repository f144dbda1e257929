"""Sending: due messages are leased, handed to the SMTP server, and recorded. At most once.

Before the server may have the message (``DATA``) the row says ``sending``, committed. What happens to
a message in that state is known only if the server says so. If it does not, the message ends as
``unknown``, is listed as failed, and nobody sends it again. What the server definitely refused, or
never saw, is tried again on a schedule.
"""

import asyncio
import email.utils
import ssl
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from contracts.distribution import MessageFailed
from distribution import limits, queries
from distribution.domain.message import decide_failed, decide_sent
from distribution.queries import Message
from distribution.settings import Settings
from distribution.triggers import MESSAGE
from runtime import clock
from runtime.crash_points import crash_point
from runtime.database import connect
from runtime.service import Service

logger = structlog.get_logger()
NOT_SENT = (aiosmtplib.SMTPException, OSError, TimeoutError, ssl.SSLError)
UNKNOWN = "the process ended while the server may have taken the message"


class _Lost(Exception):
    """Another process has the message now."""


class _Refused(Exception):
    """The server does not have the message; ``is_final``: it will not take it later either."""

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.is_final = is_final


class _Unknown(Exception):
    """The server may have the message or not."""


class Server(NamedTuple):
    """Where ``SMTP_URL`` points."""

    host: str
    port: int
    username: str | None
    password: str | None
    is_tls: bool


def parse_smtp_url(url: str) -> Server:
    """Read ``smtp://`` or ``smtps://``; raises ``ValueError``."""
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        message = "SMTP_URL must be smtp://host:port or smtps://host:port"
        raise ValueError(message)
    is_tls = parts.scheme == "smtps"
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return Server(parts.hostname, parts.port or (465 if is_tls else 25), username, password, is_tls)


async def send_messages(service: Service) -> None:
    """Send what is due, for ever; woken by the commit that queued a message."""
    settings = service.settings
    woken = asyncio.Event()
    listener = await connect(settings, service.name)
    try:
        await listener.add_listener(queries.WAKE_CHANNEL, lambda *_: woken.set())
        while not listener.is_closed():
            woken.clear()
            if not await send_once(service):
                try:
                    async with asyncio.timeout(limits.SENDER_POLL_S):
                        await woken.wait()
                except TimeoutError:
                    continue
    finally:
        await listener.close()


async def send_once(service: Service) -> int:
    """Take and send what is due; returns how many were taken."""
    settings = _settings(service)
    now = clock.now()
    async with service.pool.acquire() as connection:
        taken = await queries.take_messages(
            connection,
            now,
            now + timedelta(seconds=settings.message_lease_s),
            limits.MESSAGES_IN_FLIGHT_MAX,
        )
    await asyncio.gather(*(_send(service, message) for message in taken))
    return len(taken)


def _settings(service: Service) -> Settings:
    assert isinstance(service.settings, Settings), "distribution runs with its own settings"
    return service.settings


async def _send(service: Service, message: Message) -> None:
    attempts = message.attempts + 1
    if message.status == "sending":
        await _end(service, message, message.attempts, "unknown", UNKNOWN)
        return
    try:
        await _deliver(service, message)
    except _Lost:
        return
    except _Unknown as error:
        await _end(service, message, attempts, "unknown", str(error))
    except _Refused as error:
        delays = _settings(service).retry_delays_s
        if error.is_final or attempts > len(delays):
            await _end(service, message, attempts, "failed", str(error))
        else:
            due_at = clock.now() + timedelta(seconds=delays[attempts - 1])
            reason = str(error)[: limits.REASON_LENGTH_MAX]
            async with service.pool.acquire() as connection:
                await queries.retry_message(connection, message, attempts, due_at, reason)
            logger.info("message_retried", message_id=message.message_id, reason=reason)
    else:
        crash_point("message_after_send")
        await _end(service, message, attempts, "sent", None)


async def _deliver(service: Service, message: Message) -> None:
    settings = _settings(service)
    try:
        server = parse_smtp_url(settings.smtp_url)
        mail = compose(message, settings.smtp_from)
        body = mail.as_bytes(policy=SMTP_POLICY)
    except ValueError as error:
        raise _Refused(f"the message cannot be written: {error}", is_final=True) from None
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        use_tls=server.is_tls,
        timeout=settings.smtp_timeout_s,
    )
    try:
        await _open(client, str(mail["From"].addresses[0].addr_spec), message.content["to"])
        async with service.pool.acquire() as connection:
            if not await queries.mark_sending(connection, message, clock.now()):
                raise _Lost
        crash_point("message_before_data")
        await _data(client, body)
    finally:
        client.close()


async def _open(client: aiosmtplib.SMTP, sender: str, recipient: str) -> None:
    """Do all of the dialogue that comes before the message itself."""
    try:
        await client.connect()
        await client.mail(sender)
        await client.rcpt(recipient)
    except aiosmtplib.SMTPResponseException as error:
        raise _Refused(f"{error.code} {error.message}", is_final=_is_final(error)) from None
    except NOT_SENT as error:
        raise _Refused(f"no connection: {error!r}", is_final=False) from None


async def _data(client: aiosmtplib.SMTP, body: bytes) -> None:
    try:
        await client.data(body)
    except aiosmtplib.SMTPResponseException as error:
        if error.code < 400:  # noqa: PLR2004 - a reply that is no refusal
            raise _Unknown(f"unexpected answer {error.code} {error.message}") from None
        raise _Refused(f"{error.code} {error.message}", is_final=_is_final(error)) from None
    except NOT_SENT as error:
        raise _Unknown(f"the connection was lost after DATA: {error!r}") from None


def _is_final(error: aiosmtplib.SMTPResponseException) -> bool:
    return 500 <= error.code < 600  # noqa: PLR2004 - RFC 5321: permanent


def compose(message: Message, default_sender: str) -> EmailMessage:
    """Return the e-mail; the same message always has the same Message-ID."""
    content = message.content
    name, address = email.utils.parseaddr(default_sender)
    if content.get("from"):
        name, address = "", content["from"]
    sender = Address(display_name=name, addr_spec=address)
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=content["to"])
    mail["Subject"] = content["subject"]
    mail["Date"] = email.utils.format_datetime(clock.now())
    mail["Message-ID"] = f"<{message.message_id}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if "text" in content:
        mail.set_content(content["text"])
        if "html" in content:
            mail.add_alternative(content["html"], subtype="html")
    else:
        mail.set_content(content["html"], subtype="html")
    return mail


async def _end(
    service: Service, message: Message, attempts: int, status: str, reason: str | None
) -> None:
    """Record the end, once, in one transaction with its event."""
    async with service.unit(message.project_id, correlation_id=message.correlation_id) as unit:
        if not await queries.end_message(unit.connection, message, status, attempts, reason):
            return
        state = await unit.load(MESSAGE, message.message_id)
        assert state is not None, f"{message.message_id} was never queued"
        events = (
            decide_sent(state, attempts, unit.now)
            if status == "sent"
            else decide_failed(state, attempts, reason or status, unit.now)
        )
        unit.append(MESSAGE, message.message_id, *events)
    if isinstance(events[0], MessageFailed):
        logger.warning("message_failed", message_id=message.message_id, reason=reason)
