"""What leaves the centre: signed, on one line where it must be, without an officer, and with secrets kept secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from dockd.central.fleet.channels import mail_of, open_channels, read_secret, webhook_signature
from dockd.central.fleet.config import AlertsConfig
from dockd.central.fleet.messages import MOST_TOLD, message_text
from dockd.errors import CentreUnusable
from dockd.rules.alerting import Alert, Planned
from dockd.rules.alerts import AlertKind, Severity
from dockd.wire.alerts import AlertMessage
from tests.support.clock import START, ManualClock

MAIL = AlertsConfig(
    smtp_host="127.0.0.1", smtp_security="none", mail_from="dockd@example.org", mail_to=("it@example.org",)
)


def planned(count: int = 1, site: str | None = "cx", words: str = "Dock dock-7 has not been heard.") -> Planned:
    alerts = tuple(
        Alert(number, AlertKind.DOCK_SILENT, f"dock-{number}", site, Severity.TROUBLE, words, START, START)
        for number in range(1, count + 1)
    )
    return Planned(AlertKind.DOCK_SILENT, site, site or "", alerts, (), ())


def message(what: Planned) -> AlertMessage:
    text = message_text(what, store="store-1", page_url="https://dock.example", now=START)
    return AlertMessage.model_validate_json(text)


def test_the_signature_is_hmac_sha_256_over_time_and_body() -> None:
    at = datetime(2026, 11, 22, 6, tzinfo=UTC)
    second = int(at.timestamp())
    expected = hmac.new(b"secret", f"{second}.".encode() + b'{"a":1}', hashlib.sha256).hexdigest()
    assert webhook_signature(b"secret", at, b'{"a":1}') == f"t={second},v1={expected}"
    assert webhook_signature(b"secret", at + timedelta(seconds=1), b'{"a":1}') != f"t={second},v1={expected}"


def test_a_message_says_cause_since_when_and_what_to_do() -> None:
    one = message(planned())
    assert (one.title, one.summary, one.new_count) == ("Dock silent", "Dock dock-7 has not been heard.", 1)
    assert one.action.startswith("Ask the station")
    assert one.new[0].since == START
    assert one.link == "https://dock.example/alerts?kind=dock-silent"


def test_a_message_about_many_is_cut_and_counts_them_all() -> None:
    one = message(planned(300))
    assert (one.new_count, len(one.new)) == (300, MOST_TOLD)
    assert one.summary == "Dock silent at site cx: 300 new."
    assert "250 more; the page has them all" in str(mail_of(one, MAIL).get_content())


def test_a_mail_has_one_subject_line_whatever_the_site_is_called() -> None:
    mail = mail_of(message(planned(site="cx\r\nBcc: all@example.org")), MAIL)
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
    assert mail["Message-ID"].endswith("@example.org>")
    assert mail["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "given",
    [
        {"webhook_url": "https://h/"},
        {"webhook_url": "ftp://h/", "webhook_secret_file": "f"},
        {"webhook_url": "https://user:password@h/", "webhook_secret_file": "f"},
        {"smtp_host": "mail.example.org"},
        {"smtp_host": "mail.example.org", "mail_from": "a@b.org", "mail_to": ("a@b.org",), "smtp_security": "none"},
        {"smtp_host": "m", "mail_from": "a@b.org\nBcc: c@d.org", "mail_to": ("a@b.org",)},
        {"smtp_user": "me"},
        {"dock_silent_minutes": 0},
        {"dock_silent_hours": 1},
    ],
)
def test_half_a_configuration_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AlertsConfig.model_validate(given)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("0123456789abcdef\n")
    file.chmod(0o640)
    with pytest.raises(CentreUnusable, match="open to others"):
        read_secret(file, "the secret")
    file.chmod(0o600)
    assert read_secret(file, "the secret") == b"0123456789abcdef"
    with pytest.raises(CentreUnusable, match="cannot be read"):
        read_secret(tmp_path / "none", "the secret")


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("short\n")
    file.chmod(0o600)
    config = AlertsConfig(webhook_url="https://h/", webhook_secret_file=str(file))
    with pytest.raises(CentreUnusable, match="shorter than 16 bytes"):
        open_channels(config, ManualClock())
    assert open_channels(AlertsConfig(), ManualClock()) == ()


def test_no_officer_is_named_in_any_message() -> None:
    assert "officer" not in json.dumps(AlertMessage.model_json_schema()["$defs"]["ToldAlert"]["properties"])
