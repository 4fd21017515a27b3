"""The dock's key and what it signs."""

from __future__ import annotations

import asyncio
import base64
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from dockd.dock.keys import KEY_FILE_NAME, ChainSigner, load_or_create_key
from dockd.errors import ConfigInvalid
from dockd.model.facts import ChainSigned, DockStopped, Fact, RecordedFact, link
from dockd.model.ids import GENESIS, Digest
from tests.support.clock import ManualClock


class ListedFacts:
    """A chain in memory."""

    def __init__(self, clock: ManualClock) -> None:
        self.facts: list[RecordedFact] = []
        self._clock = clock

    @property
    def head(self) -> tuple[int, Digest]:
        return (len(self.facts), Digest(self.facts[-1].hash)) if self.facts else (0, GENESIS)

    async def append(self, *facts: Fact) -> tuple[RecordedFact, ...]:
        for fact in facts:
            self.facts.append(link("dock-1", len(self.facts) + 1, self.head[1], self._clock.moment(), fact))
        return tuple(self.facts[-len(facts) :])


def test_key_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    made = load_or_create_key(tmp_path)
    path = tmp_path / KEY_FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert load_or_create_key(tmp_path).public_key == made.public_key
    assert [one.name for one in tmp_path.iterdir()] == [KEY_FILE_NAME]


def test_half_written_key_of_a_crash_is_no_key(tmp_path: Path) -> None:
    (tmp_path / (KEY_FILE_NAME + ".new")).write_bytes(b"-----BEGIN PRIV")
    assert load_or_create_key(tmp_path).public_key


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_or_create_key(tmp_path)
    (tmp_path / KEY_FILE_NAME).chmod(0o640)
    with pytest.raises(ConfigInvalid, match="can be read by other users"):
        load_or_create_key(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_damaged_key_is_refused_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / KEY_FILE_NAME
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigInvalid, match="not an Ed25519"):
        load_or_create_key(tmp_path)
    assert path.read_bytes() == content


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / KEY_FILE_NAME
    path.write_bytes(pem)
    path.chmod(0o600)
    with pytest.raises(ConfigInvalid, match="not an Ed25519"):
        load_or_create_key(tmp_path)


def test_missing_state_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read or made"):
        load_or_create_key(tmp_path / "nothing")


def test_a_key_from_outside_is_used_and_none_is_made(tmp_path: Path) -> None:
    outside, state = tmp_path / "outside", tmp_path / "state"
    outside.mkdir()
    state.mkdir()
    given = load_or_create_key(outside)
    assert load_or_create_key(state, outside / KEY_FILE_NAME).public_key == given.public_key
    assert list(state.iterdir()) == []


def test_a_key_from_outside_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read") as caught:
        load_or_create_key(tmp_path, tmp_path / "given.pem")
    assert "LoadCredential" in caught.value.action
    assert list(tmp_path.iterdir()) == []


def test_only_a_credential_may_show_a_right_of_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_or_create_key(tmp_path)
    path = tmp_path / KEY_FILE_NAME
    path.chmod(0o440)
    with pytest.raises(ConfigInvalid, match="other users"):
        load_or_create_key(tmp_path, path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_or_create_key(tmp_path, path).public_key
    path.chmod(0o444)
    with pytest.raises(ConfigInvalid, match="other users"):
        load_or_create_key(tmp_path, path)


def test_public_tools_read_the_key(tmp_path: Path) -> None:
    load_or_create_key(tmp_path)
    done = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / KEY_FILE_NAME, "-noout", "-text"], capture_output=True, check=True
    )
    assert b"ED25519" in done.stdout


async def test_checkpoint_is_a_good_signature_over_the_head(tmp_path: Path, clock: ManualClock) -> None:
    key, chain = load_or_create_key(tmp_path), ListedFacts(clock)
    signer = ChainSigner(chain, key, clock)
    await chain.append(DockStopped())
    await signer.sign("before wipe")
    fact = chain.facts[-1].fact
    assert isinstance(fact, ChainSigned)
    assert (fact.through, fact.head, fact.why) == (1, chain.facts[0].hash, "before wipe")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_key))
    public.verify(base64.b64decode(fact.signature), fact.head.encode("ascii"))


async def test_nothing_new_is_not_signed_again(tmp_path: Path, clock: ManualClock) -> None:
    chain = ListedFacts(clock)
    signer = ChainSigner(chain, load_or_create_key(tmp_path), clock)
    await signer.sign("empty chain")
    assert not chain.facts
    await chain.append(DockStopped())
    await signer.sign("once")
    await signer.sign("twice")
    assert [one.fact.kind for one in chain.facts] == ["DockStopped", "ChainSigned"]


async def test_chain_is_signed_every_hour(tmp_path: Path, clock: ManualClock) -> None:
    chain = ListedFacts(clock)
    task = asyncio.create_task(ChainSigner(chain, load_or_create_key(tmp_path), clock).run())
    await chain.append(DockStopped())
    await clock.run_for(3599)
    assert len(chain.facts) == 1
    await clock.run_for(2)
    assert chain.facts[-1].fact.kind == "ChainSigned"
    await clock.run_for(7200)
    assert len(chain.facts) == 2
    task.cancel()
    await asyncio.wait([task])
