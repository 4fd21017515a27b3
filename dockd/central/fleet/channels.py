"""The two ways out: a signed POST to a webhook, and a mail.

Knows how a message is carried; not which, nor when again. Both check whom they speak to (TLS), both name a message so
that whoever gets it twice can tell, and neither puts a secret into a log or an error.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import smtplib
import ssl
import stat
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Protocol

import aiohttp

from dockd.central.fleet.config import AlertsConfig
from dockd.central.fleet.messages import mail_subject, mail_text
from dockd.clock import Clock
from dockd.errors import CentreUnusable
from dockd.wire.alerts import AlertMessage

SIGNATURE_HEADER = "X-Dockd-Signature"
MESSAGE_HEADER = "X-Dockd-Message"
_WEBHOOK_SECONDS = 15.0
_SMTP_SECONDS = 15.0
_FEWEST_SECRET_BYTES = 16
_MOST_SECRET_BYTES = 4096


class NotDelivered(Exception):
    """The message was not taken, as far as is known; the words say why, without secrets."""


class Channel(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """As the outbox names it."""

    async def send(self, body: str) -> None:
        """Hand over one message, the JSON of an AlertMessage. Raises NotDelivered."""


def webhook_signature(secret: bytes, at: datetime, body: bytes) -> str:
    """`t=<Unix seconds>,v1=<hex>`: HMAC-SHA-256 over `<Unix seconds>.<body>`. The time is that of sending, so that an
    old message can be told from a new one."""
    second = int(at.timestamp())
    return f"t={second},v1={hmac.new(secret, f'{second}.'.encode() + body, hashlib.sha256).hexdigest()}"


class Webhook:
    """POSTs messages. Any answer of 2xx is a receipt."""

    name = "webhook"

    def __init__(self, url: str, secret: bytes, clock: Clock, tls: ssl.SSLContext) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._tls = tls

    async def send(self, body: str) -> None:
        """POST it. Raises NotDelivered."""
        raw = body.encode("utf-8")
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: webhook_signature(self._secret, self._clock.now(), raw),
            MESSAGE_HEADER: AlertMessage.model_validate_json(body).id,
        }
        limit = aiohttp.ClientTimeout(total=_WEBHOOK_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.post(self._url, data=raw, headers=headers, ssl=self._tls, allow_redirects=False) as response,
            ):
                status = response.status
        except TimeoutError:
            raise NotDelivered(f"The webhook did not answer within {_WEBHOOK_SECONDS:.0f} s.") from None
        except aiohttp.ClientError as error:
            raise NotDelivered(f"The webhook cannot be reached: {_words(error)}.") from None
        if not 200 <= status < 300:
            raise NotDelivered(f"The webhook answered {status}.")


class Mail:
    """Sends mails with smtplib, each over a connection of its own, in a thread."""

    name = "mail"

    def __init__(self, config: AlertsConfig, password: str | None, tls: ssl.SSLContext) -> None:
        self._config = config
        self._password = password
        self._tls = tls

    async def send(self, body: str) -> None:
        """Send it to every receiver. Raises NotDelivered when one of them was refused: then all get it again."""
        message = mail_of(AlertMessage.model_validate_json(body), self._config)
        try:
            await asyncio.to_thread(self._send, message)
        except smtplib.SMTPRecipientsRefused as error:
            raise NotDelivered(f"The mail server refused {', '.join(sorted(error.recipients))}.") from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"The mail server did not take it: {_words(error)}.") from None

    def _send(self, message: EmailMessage) -> None:
        config = self._config
        host = config.smtp_host or ""
        if config.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, config.smtp_port, timeout=_SMTP_SECONDS, context=self._tls)
        else:
            server = smtplib.SMTP(host, config.smtp_port, timeout=_SMTP_SECONDS)
        with server:
            if config.smtp_security == "starttls":
                server.starttls(context=self._tls)
            if config.smtp_user is not None and self._password is not None:
                server.login(config.smtp_user, self._password)
            refused = server.send_message(message)
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)


def mail_of(message: AlertMessage, config: AlertsConfig) -> EmailMessage:
    """The mail. Its Message-ID is the message's own, so that a repetition is the same mail."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = mail_subject(message)
    mail["From"] = config.mail_from
    mail["To"] = ", ".join(config.mail_to)
    mail["Date"] = message.made_at
    mail["Message-ID"] = f"<{message.id}@{(config.mail_from or '').rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    mail.set_content(mail_text(message))
    return mail


def open_channels(config: AlertsConfig, clock: Clock) -> tuple[Channel, ...]:
    """What is configured, secrets read. Blocking. Raises CentreUnusable when a secret or the CA cannot be used."""
    if not config.channels:
        return ()
    tls = _tls(config.ca_file)
    channels: list[Channel] = []
    if config.webhook_url is not None and config.webhook_secret_file is not None:
        secret = read_secret(Path(config.webhook_secret_file), "the webhook's secret")
        if len(secret) < _FEWEST_SECRET_BYTES:
            raise CentreUnusable(
                f"The webhook's secret in {config.webhook_secret_file} is shorter than {_FEWEST_SECRET_BYTES} bytes.",
                action="Make one with `openssl rand -hex 32` and give it to the receiver too.",
            )
        channels.append(Webhook(config.webhook_url, secret, clock, tls))
    if config.smtp_host is not None:
        file = config.smtp_password_file
        password = read_secret(Path(file), "the mail server's password").decode("utf-8", "replace") if file else None
        channels.append(Mail(config, password, tls))
    return tuple(channels)


def read_secret(file: Path, what: str) -> bytes:
    """The file's content without the line end. Raises CentreUnusable when others can read it, or we cannot."""
    try:
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CentreUnusable(f"The file {file} with {what} is open to others.", action=f"Do chmod 600 {file}.")
        with file.open("rb") as opened:
            return opened.read(_MOST_SECRET_BYTES).rstrip(b"\r\n")
    except OSError as error:
        raise CentreUnusable(
            f"The file {file} with {what} cannot be read: {error.strerror}.",
            action="Put it there, readable by the centre alone (mode 0600).",
        ) from error


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise CentreUnusable(
            f"The authority in {ca_file} cannot be read: {error.strerror or error}.",
            action="Put the PEM file of the authority there.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
