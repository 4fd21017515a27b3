"""The `[alerts]` section: from when on something is worth an alert, how patient messages are, and where they go."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from dockd.rules.alerting import Pace
from dockd.rules.alerts import Limits
from dockd.section import Section
from dockd.web.hosts import HostText, is_loopback

WebhookText = Annotated[str, StringConstraints(max_length=1000, pattern=r"^https?://[^\s/?#@]+(/[^\s#]*)?$")]
MailText = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^\s@<>,;:\"\\]+@[A-Za-z0-9.-]+$")]


class AlertsConfig(Section):
    """The `[alerts]` section. Every centre process may have it: of all of them one judges at a time."""

    evaluate_seconds: int = Field(default=60, ge=5, le=3600, description="How often it is judged what is worth one.")
    dock_silent_minutes: int = Field(
        default=10, ge=1, le=10_080, description="A dock that was not heard for so long is silent."
    )
    staging_free_percent: int = Field(
        default=20, ge=1, le=90, description="Free part of a dock's disk below which it is filling; half of it is bad."
    )
    footage_waiting_hours: int = Field(
        default=24, ge=1, le=24 * 31, description="Footage that waits on a dock for longer is worth an alert."
    )
    camera_overdue_hours: int = Field(
        default=24, ge=1, le=24 * 31, description="A camera that is out with an officer for longer is overdue."
    )
    retention_days: int = Field(
        default=31,
        ge=1,
        le=3650,
        description="Only to say how many days are left for the footage aboard an overdue camera; deletes nothing.",
    )
    clock_unsynchronised_minutes: int = Field(
        default=15, ge=1, le=10_080, description="A dock's clock may be unsynchronised for so long."
    )
    receipts_late_minutes: int = Field(
        default=15, ge=1, le=10_080, description="A recording may wait for so long to be read back."
    )
    certificate_days: int = Field(
        default=14, ge=1, le=365, description="A certificate that ends within so many days is worth an alert."
    )
    gather_seconds: int = Field(
        default=60, ge=0, le=3600, description="A new alert waits so long for others that belong into its message."
    )
    pause_minutes: int = Field(
        default=10, ge=1, le=1440, description="Between two messages of one kind about one site, or about the force."
    )
    reminder_hours: int = Field(
        default=24, ge=1, le=720, description="An alert that nobody acknowledged is told again after so long."
    )
    calm_minutes: int = Field(
        default=5, ge=0, le=1440, description="A cause must be gone for so long before its alert is over."
    )
    undelivered_hours: int = Field(
        default=72,
        ge=1,
        le=720,
        description="A message that could not be sent for so long is out of date and given up; the alert stays.",
    )
    page_url: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+$",
        description="How people reach this centre's pages (no path); messages then carry a link.",
    )
    webhook_url: WebhookText | None = Field(
        default=None, description="Where messages are POSTed as JSON, signed; redirects are not followed."
    )
    webhook_secret_file: str | None = Field(
        default=None, min_length=1, description="File with the secret for the webhook's HMAC-SHA-256, mode 0600."
    )
    smtp_host: HostText | None = Field(default=None, description="Mail server that takes messages.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its TCP port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="`none` only for a mail server on this machine."
    )
    smtp_user: str | None = Field(default=None, min_length=1, max_length=200, description="Name to sign in there with.")
    smtp_password_file: str | None = Field(
        default=None, min_length=1, description="File with the password for it, mode 0600."
    )
    mail_from: MailText | None = Field(default=None, description="Sender of the messages.")
    mail_to: tuple[MailText, ...] = Field(default=(), strict=False, max_length=50, description="Receivers.")
    ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="PEM file of the authority that webhook and mail server are checked against, else the system's.",
    )

    @model_validator(mode="after")
    def _webhook_is_whole(self) -> AlertsConfig:
        if (self.webhook_url is None) != (self.webhook_secret_file is None):
            raise ValueError("webhook_url and webhook_secret_file belong together")
        return self

    @model_validator(mode="after")
    def _mail_is_whole(self) -> AlertsConfig:
        given = (self.smtp_host is not None, self.mail_from is not None, bool(self.mail_to))
        if any(given) and not all(given):
            raise ValueError("smtp_host, mail_from and mail_to belong together")
        if (self.smtp_user is None) != (self.smtp_password_file is None):
            raise ValueError("smtp_user and smtp_password_file belong together")
        if self.smtp_host is not None and self.smtp_security == "none" and not is_loopback(self.smtp_host):
            raise ValueError("smtp_security = 'none' is only for a mail server on this machine")
        return self

    @property
    def limits(self) -> Limits:
        """For the rules."""
        return Limits(
            silent_after=timedelta(minutes=self.dock_silent_minutes),
            staging_free_percent=self.staging_free_percent,
            waiting_after=timedelta(hours=self.footage_waiting_hours),
            overdue_after=timedelta(hours=self.camera_overdue_hours),
            retention=timedelta(days=self.retention_days),
            unsynchronised_after=timedelta(minutes=self.clock_unsynchronised_minutes),
            receipts_late_after=timedelta(minutes=self.receipts_late_minutes),
            certificate_within=timedelta(days=self.certificate_days),
        )

    @property
    def pace(self) -> Pace:
        """For the rules."""
        return Pace(
            gather=timedelta(seconds=self.gather_seconds),
            pause=timedelta(minutes=self.pause_minutes),
            remind=timedelta(hours=self.reminder_hours),
            calm=timedelta(minutes=self.calm_minutes),
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Where messages go."""
        webhook = ("webhook",) if self.webhook_url is not None else ()
        return (*webhook, "mail") if self.smtp_host is not None else webhook


NO_CHANNELS = AlertsConfig()
"""Alerts are judged and shown on the page; nobody is told."""
