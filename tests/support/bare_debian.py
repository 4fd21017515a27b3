"""A bare Debian 12 in a folder, for installing the package: made once by mmdebstrap, kept, and copied for each use.

Knows mmdebstrap, chroot and systemd-nspawn. All of it runs in mount namespaces of its own, so nothing stays mounted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CACHE = ROOT / ".cache" / "package"
_PACKAGES = ("python3", "systemd", "systemd-sysv", "udev", "init-system-helpers")
_BOOT_SECONDS = 300
PACKAGE_SOURCES = (
    *("dockd", "drivers", "migrations", "deploy", "docs"),
    *("setup.cfg", "pyproject.toml", "requirements-run.lock", "README.md", "LICENSE", "CHANGELOG.md"),
)


def what_is_missing() -> str | None:
    """Why no Debian can be made or run here, in words; None when it can."""
    programs = ("mmdebstrap", "systemd-nspawn", "unshare", "losetup", "mkfs.ext4")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "installing a Debian package needs root"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        return "this kernel or container does not allow a mount namespace"
    return None


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold `folder` against other processes: test workers share what is made there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copy_sources(folder: Path) -> Path:
    """What the package is built from, as it is now, at another place. Returns the place."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in PACKAGE_SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy2(source, folder / name)
    return folder


def build_package(sources: Path, folder: Path, environ: dict[str, str] | None = None) -> Path:
    """The package of `sources`, made with this Python, in `folder`."""
    command = [sys.executable, str(sources / "deploy/deb/build.py"), "--folder", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env={**os.environ, **(environ or {})}
    )
    assert done.returncode == 0, f"the package cannot be built:\n{done.stdout}{done.stderr}"
    return Path(done.stdout.strip().splitlines()[-1])


def repacked(package: Path, version: str, folder: Path) -> Path:
    """The same package with another version number."""
    tree = folder / f"tree-{version}"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True, timeout=120)
    control = tree / "DEBIAN" / "control"
    lines = [
        f"Version: {version}" if line.startswith("Version:") else line for line in control.read_text().splitlines()
    ]
    control.write_text("\n".join(lines) + "\n")
    made = folder / f"dockd_{version}_amd64.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    shutil.rmtree(tree)
    return made


class BareDebian:
    """One copy of it, in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        archive = _made_archive()
        root.mkdir(parents=True)
        subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={root}"], check=True, timeout=300)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in it, with nothing but /proc mounted and no service manager."""
        script = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, str(self.root), *command],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"},
        )
        assert not check or done.returncode == 0, f"{command} left with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def bring(self, file: Path, place: str) -> str:
        """Copy a file into it; returns where it is there."""
        target = self.root / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        return place

    def boot(self, script: str, arguments: Sequence[str], *, devices: Sequence[Path] = ()) -> str:
        """Start its systemd, run the Python program `script` there to its end, power off; returns all it printed."""
        unit = self.root / "etc/systemd/system/steps.service"
        unit.write_text(
            "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nTimeoutStartSec=240\n"
            f"ExecStart=/usr/bin/python3 {script} {' '.join(arguments)}\n"
            "StandardOutput=file:/steps.txt\nStandardError=inherit\n"
            "ExecStopPost=/bin/systemctl poweroff --force\n",
            encoding="utf-8",
        )
        wants = self.root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / "steps.service").symlink_to("../steps.service")
        done = subprocess.run(
            [
                *("unshare", "--mount", "systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot"),
                *("--register=no", "--keep-unit", "--private-network", "--capability=all", f"--machine=t{os.getpid()}"),
                *(f"--bind={device}" for device in devices),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_BOOT_SECONDS,
            check=False,
            env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )
        printed = self.root / "steps.txt"
        return (printed.read_text("utf-8", "replace") if printed.exists() else "") + done.stdout + done.stderr


def _made_archive() -> Path:
    key = hashlib.sha256(" ".join(_PACKAGES).encode()).hexdigest()[:12]
    archive = _CACHE / f"bare-{key}.tar"
    with one_at_a_time(_CACHE):
        if not archive.exists():
            draft = archive.with_suffix(".new.tar")
            command = [
                "unshare",
                "--mount",
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(_PACKAGES)}",
                "bookworm",
            ]
            done = subprocess.run([*command, str(draft)], capture_output=True, text=True, timeout=600, check=False)
            assert done.returncode == 0, f"no Debian could be made:\n{done.stderr}"
            draft.rename(archive)
    return archive
