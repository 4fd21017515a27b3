"""The package installed into a bare Debian in which no service manager runs, as an image builder would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bare_debian import BareDebian

pytestmark = pytest.mark.slow

UNITS = "/usr/lib/systemd/system"


@pytest.fixture(scope="module")
def installed(debian: BareDebian, package: Path) -> BareDebian:
    place = debian.bring(package, "/tmp/dockd.deb")
    done = debian.run("dpkg", "--install", place)
    assert "waits for /etc/dockd/dockd.toml" in done.stdout
    return debian


def test_the_command_runs_with_debians_python(installed: BareDebian) -> None:
    assert installed.run("dockd", "--version").stdout.startswith("dockd, version ")
    assert "massstorage" in installed.run("dockd", "drivers").stdout
    here = installed.run(
        "/usr/lib/dockd/venv/bin/python3", "-I", "-c", "import sys; print(sys.version_info[:2], sys.prefix)"
    )
    assert here.stdout.split(") ") == ["(3, 11", "/usr/lib/dockd/venv\n"]


def test_every_compiled_module_fits_this_debian(installed: BareDebian) -> None:
    """Its libraries, glibc's version among them, and the interpreter's own symbols are all found."""
    code = (
        "import ctypes, pathlib, sysconfig\n"
        "files = [path for path in pathlib.Path(sysconfig.get_paths()['purelib']).rglob('*.so')]\n"
        "for file in files: ctypes.CDLL(str(file))\n"
        "print(len(files))\n"
    )
    assert int(installed.run("/usr/lib/dockd/venv/bin/python3", "-I", "-c", code).stdout) > 10


def test_a_bucket_can_be_asked_with_what_is_shipped(installed: BareDebian) -> None:
    """The library's descriptions of other services are left out: S3's must be there, and all that it needs."""
    code = (
        "import asyncio, pathlib\n"
        "from dockd.central.stores.s3.bucket import Bucket\n"
        "from dockd.central.stores.s3.config import StoreConfig\n"
        "from dockd.errors import DockdError\n"
        "secrets = pathlib.Path('/root/credentials')\n"
        "secrets.touch(mode=0o600)\n"
        "secrets.write_text('[default]\\naws_access_key_id = a\\naws_secret_access_key = b\\n')\n"
        "nobody = {'kind': 's3', 'endpoint': 'http://127.0.0.1:9', 'bucket': 'footage'}\n"
        "bucket = Bucket(StoreConfig(**nobody, credentials_file=str(secrets)))\n"
        "async def ask():\n"
        "    await bucket.open()\n"
        "    try:\n"
        "        await bucket.head('objects/of-nobody')\n"
        "    except DockdError as error:\n"
        "        print(error)\n"
        "    await bucket.close()\n"
        "asyncio.run(ask())\n"
    )
    told = installed.run("/usr/lib/dockd/venv/bin/python3", "-I", "-c", code).stdout
    assert "cannot be reached" in told


def test_the_centres_configuration_is_usable_as_it_comes(installed: BareDebian) -> None:
    assert "in order" in installed.run("dockd", "check-config", "--central", "/etc/dockd/central.toml").stdout


def test_the_docks_example_is_refused_until_it_is_filled_in(installed: BareDebian) -> None:
    done = installed.run("dockd", "check-config", "/usr/share/dockd/dockd.toml", check=False)
    assert done.returncode == 78
    assert "dock.id" in done.stderr


def test_only_the_owners_may_enter_the_folders_of_state(installed: BareDebian) -> None:
    done = installed.run(
        "stat", "--format=%U %a %n", "/var/lib/dockd", "/var/lib/dockd/staging", "/var/lib/dockd-central"
    )
    assert done.stdout.splitlines() == [
        "dockd 700 /var/lib/dockd",
        "dockd 700 /var/lib/dockd/staging",
        "dockd-central 700 /var/lib/dockd-central",
    ]


def test_the_dock_is_switched_on_and_the_centre_is_not(installed: BareDebian) -> None:
    assert installed.run("systemctl", "is-enabled", "dockd").stdout == "enabled\n"
    assert installed.run("systemctl", "is-enabled", "dockd-central", check=False).stdout == "disabled\n"


@pytest.mark.parametrize("unit", ["dockd.service", "dockd-central.service"])
def test_units_have_no_mistake(installed: BareDebian, unit: str) -> None:
    done = installed.run("systemd-analyze", "verify", f"{UNITS}/{unit}")
    assert [line for line in done.stderr.splitlines() if "dockd" in line] == []


@pytest.mark.parametrize("unit", ["dockd.service", "dockd-central.service"])
def test_exposure_is_at_most_three_and_as_the_guide_says(installed: BareDebian, unit: str) -> None:
    done = installed.run("systemd-analyze", "security", "--offline=true", "--threshold=30", f"{UNITS}/{unit}")
    exposure = done.stdout.split("Overall exposure level for ")[1].split()[1]
    guide = (installed.root / "usr/share/doc/dockd/install.md").read_text(encoding="utf-8")
    assert f"| `{unit}` | {exposure} |" in guide


def test_udev_finds_no_mistake_in_the_rules(installed: BareDebian, tmp_path: Path) -> None:
    config = "[dock]\nid='d'\nsite='s'\n[centre]\nurl='http://127.0.0.1:1'\nstore='s'\nkey='k'\npublic_key='p'\n"
    (installed.root / "tmp/rules.toml").write_text(config + "[usb]\nhubs=['1-1', 'usb3']\n", encoding="utf-8")
    installed.run("dockd", "bays", "rules", "--write", "--config", "/tmp/rules.toml")
    told = installed.run("sh", "-c", "mount -t sysfs sys /sys; udevadm test --action=add /sys/class/net/lo 2>&1").stdout
    assert "Reading rules file: /usr/lib/udev/rules.d/70-dockd.rules" in told.replace(" /lib/", " /usr/lib/")
    assert "Reading rules file: /etc/udev/rules.d/60-dockd-bays.rules" in told
    assert [line for line in told.splitlines() if "dockd" in line and "Reading rules file" not in line] == []


def test_purge_takes_the_configuration_and_leaves_footage_and_its_record(installed: BareDebian) -> None:
    state = {
        "var/lib/dockd/staging/recording": b"footage",
        "var/lib/dockd/journal/facts.sqlite": b"record",
        "var/lib/dockd/dock-key.pem": b"key",
        "var/lib/dockd-central/objects/part": b"footage",
    }
    for name, content in state.items():
        (installed.root / name).parent.mkdir(parents=True, exist_ok=True)
        (installed.root / name).write_bytes(content)
    (installed.root / "etc/dockd/dockd.toml").write_text("# mine\n", encoding="utf-8")
    installed.run("dpkg", "--remove", "dockd")
    assert (installed.root / "etc/dockd/dockd.toml").exists(), "removing keeps the configuration"
    told = installed.run("dpkg", "--purge", "dockd").stdout
    assert "/var/lib/dockd was kept" in told
    assert "/var/lib/dockd-central was kept" in told
    assert {name: (installed.root / name).read_bytes() for name in state} == state
    left = installed.run("find", "/etc", "/usr", "/run", "-name", "*dockd*").stdout
    assert left == ""
    assert "dockd" in installed.run("getent", "passwd", "dockd").stdout, "whoever owns the footage stays known"
