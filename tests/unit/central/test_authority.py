"""What the centre's certificate authority signs, and what it does not."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dockd.central.authority import (
    Authority,
    create_authority,
    dock_named_by,
    load_authority,
    parse_request,
    server_context,
)
from dockd.errors import CentreUnusable
from dockd.web.problems import Refusal

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
P256 = ec.SECP256R1()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return create_authority(tmp_path, "store-test", NOW)


def request_with(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *extensions: x509.ExtensionType, name: str = "dock-1"
) -> str:
    """A certificate request as somebody may send it."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_only_p256_requests_are_read() -> None:
    strangers: tuple[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, ...] = (
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
    )
    for stranger in strangers:
        with pytest.raises(Refusal, match=r"ECDSA P-256|cannot be read"):
            parse_request(request_with(stranger))
    assert parse_request(request_with(ec.generate_private_key(P256))).is_signature_valid


def test_nothing_that_a_request_wishes_for_counts_but_its_key(authority: Authority) -> None:
    """A dock that asks to be a CA, a server and another dock."""
    wishes = (
        x509.BasicConstraints(ca=True, path_length=None),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier("urn:dockd:dock:dock-9"), x509.DNSName("centre.example")]
        ),
    )
    key = ec.generate_private_key(P256)
    request = parse_request(request_with(key, *wishes, name="dock-9"))
    given = authority.issue_to_dock("dock-1", request, NOW, timedelta(days=90))
    assert given.public_key() == key.public_key()
    assert dock_named_by(given) == "dock-1"
    assert given.subject.rfc4514_string() == "CN=dock-1"
    assert not given.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(given.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    names = given.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == []
    assert given.not_valid_after_utc == NOW + timedelta(days=90)
    given.verify_directly_issued_by(authority.certificate)


@pytest.mark.parametrize("names", [(), ("urn:dockd:dock:a", "urn:dockd:dock:b"), ("urn:other:a",)])
def test_a_certificate_that_names_none_or_two_docks_names_none(names: tuple[str, ...]) -> None:
    key = ec.generate_private_key(P256)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    if names:
        uris = [x509.UniformResourceIdentifier(name) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(uris), critical=False)
    assert dock_named_by(builder.sign(key, hashes.SHA256())) is None


def test_the_authority_itself_can_sign_no_other_authority(authority: Authority) -> None:
    constraints = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("ca.pem", b"garbage", "damaged"),
        ("keys/ca-key.pem", b"garbage", "not a private key"),
        ("keys/ca-key.pem", None, "not whole"),
    ],
)
def test_a_damaged_authority_is_told(
    authority: Authority, tmp_path: Path, file: str, content: bytes | None, says: str
) -> None:
    assert authority.pem
    path = tmp_path / file
    path.unlink()
    if content is not None:
        path.touch(0o600)
        path.write_bytes(content)
    with pytest.raises(CentreUnusable, match=says):
        load_authority(tmp_path)


def test_the_key_of_another_authority_is_told(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    create_authority(tmp_path / "other", "store-test", NOW)
    (tmp_path / "keys/ca-key.pem").write_bytes((tmp_path / "other/keys/ca-key.pem").read_bytes())
    with pytest.raises(CentreUnusable, match="is not the key of"):
        load_authority(tmp_path)
    with pytest.raises(CentreUnusable, match="already"):
        create_authority(tmp_path, "store-test", NOW)
    assert authority.pem == (tmp_path / "ca.pem").read_text()


def test_docks_are_served_with_tls_1_2_or_later(authority: Authority) -> None:
    context = server_context(authority)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_OPTIONAL
