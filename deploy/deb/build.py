"""Build the Debian package: `python deploy/deb/build.py [--version V] [--folder build]`, prints the file's name.

Makes a relocatable virtual environment for Debian 12's own python3 from the locked wheels, adds what
`deploy/` holds for the host, and packs it with dpkg-deb. Needs Python 3.11 with pip and setuptools, and
dpkg-deb; nothing of the machine it runs on ends up in the package. The same sources give the same bytes
(SOURCE_DATE_EPOCH, by default the time of the last commit).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
VENV = Path("usr/lib/dockd/venv")
SITE = VENV / "lib/python3.11/site-packages"
ARCHITECTURE = "amd64"
DEPENDS = "python3 (>= 3.11), python3 (<< 3.12), libc6 (>= 2.28), libudev1, systemd, udev, init-system-helpers"

# Debian 12 has glibc 2.36: any manylinux wheel up to it fits (PEP 600).
GLIBC_MINORS = (36, 35, 34, 31, 28, 27, 26, 24, 17)
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC_MINORS] + ["manylinux2014_x86_64"]
ABIS = ("cp311", "abi3", "none")

# botocore describes every service of one provider, two thousand files; a store is reached by S3's description alone.
SERVICES_OF_BOTOCORE = ("s3",)
# What packages bring to test themselves, or what is built on them; nothing here is loaded by what they do.
TESTS_OF_PACKAGES = (
    "aioitertools/tests",
    "aiosqlite/tests",
    "alembic/testing",
    "greenlet/tests",
    "mako/testing",
    "sqlalchemy/testing",
)

SOURCES = ("dockd", "drivers", "migrations")
FILES = {
    "systemd/dockd.service": "usr/lib/systemd/system/dockd.service",
    "systemd/dockd-central.service": "usr/lib/systemd/system/dockd-central.service",
    "systemd/dockd-central@.service": "usr/lib/systemd/system/dockd-central@.service",
    "systemd/dockd-verifier.service": "usr/lib/systemd/system/dockd-verifier.service",
    "nginx/dockd.conf": "usr/share/dockd/nginx.conf",
    "nginx/dockd-docks.conf": "usr/share/dockd/nginx-docks.conf",
    "udev/70-dockd.rules": "usr/lib/udev/rules.d/70-dockd.rules",
    "sysusers": "usr/lib/sysusers.d/dockd.conf",
    "tmpfiles": "usr/lib/tmpfiles.d/dockd.conf",
    "deb/sysctl.conf": "usr/lib/sysctl.d/50-dockd.conf",
    "deb/journald.conf": "etc/systemd/journald.conf.d/dockd.conf",
    "deb/central.toml": "etc/dockd/central.toml",
    "deb/dockd.toml": "usr/share/dockd/dockd.toml",
    "deb/copyright": "usr/share/doc/dockd/copyright",
}
SCRIPTS = ("postinst", "prerm", "postrm")
EXECUTABLES = (str(VENV / "bin/dockd"),)

LAUNCHER = """\
#!/{venv}/bin/python3 -I
from dockd.cli import main

main()
"""
PYVENV = """\
home = /usr/bin
include-system-site-packages = false
version = 3.11.2
"""
CONTROL = """\
Package: dockd
Version: {version}
Architecture: {architecture}
Maintainer: the dockd contributors <dockd@localhost>
Installed-Size: {size_kib}
Depends: {depends}
Section: admin
Priority: optional
Description: docking station for body-worn video cameras
 Copies the footage of cameras that are put into its bays, proves that the copy
 is right, sends it to a central store, waits for the store's signed receipt,
 and only then erases the card and makes the camera ready. Holds the services
 of a dock host (dockd.service) and of the centre (dockd-central.service).
"""


def main() -> None:
    """Build, and print where the package is."""
    options = argparse.ArgumentParser(description="Build the Debian package.")
    options.add_argument("--version", default=_own_version(), help="version of the package")
    options.add_argument("--folder", type=Path, default=ROOT / "build", help="where the package goes")
    given = options.parse_args()
    if sys.version_info[:2] != (3, 11) or shutil.which("dpkg-deb") is None:
        sys.exit("The package is for Debian 12: build it with Python 3.11 and dpkg-deb.")
    os.umask(0o022)
    epoch = _epoch()
    os.environ.update(SOURCE_DATE_EPOCH=str(epoch), PYTHONHASHSEED="0")
    with tempfile.TemporaryDirectory(prefix="dockd-deb-") as scratch:
        tree = Path(scratch) / "tree"
        tree.mkdir()
        make_environment(tree, Path(scratch))
        add_host_files(tree, epoch)
        settle(tree, epoch)
        write_control(tree, given.version)
        given.folder.mkdir(parents=True, exist_ok=True)
        package = given.folder / f"dockd_{given.version}_{ARCHITECTURE}.deb"
        _run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z15", "--threads-max=1", "--build", str(tree), str(package))
    print(package)


def make_environment(tree: Path, scratch: Path) -> None:
    """The virtual environment at its final place below `tree`, its files as Debian's python3 wants them."""
    site = tree / SITE
    site.mkdir(parents=True)
    lock = scratch / "run.lock"
    lock.write_text(without_package((ROOT / "requirements-run.lock").read_text("utf-8"), "setuptools"), "utf-8")
    foreign = [f"--platform={name}" for name in PLATFORMS] + [f"--abi={name}" for name in ABIS]
    foreign += ["--python-version=3.11", "--implementation=cp", "--only-binary=:all:"]
    _pip(
        "install",
        "--require-hashes",
        "--no-deps",
        "--no-compile",
        *foreign,
        f"--target={site}",
        f"--requirement={lock}",
    )
    _pip("install", "--no-deps", "--no-compile", "--no-index", f"--target={site}", str(_own_wheel(scratch)))
    for unused in ("bin", "include"):  # launchers for this machine's Python, and C headers
        shutil.rmtree(site / unused, ignore_errors=True)
    for service in [one for one in (site / "botocore/data").iterdir() if one.is_dir()]:
        if service.name not in SERVICES_OF_BOTOCORE:
            shutil.rmtree(service)
    for tests in TESTS_OF_PACKAGES:
        shutil.rmtree(site / tests)
    for record in sorted(site.glob("*.dist-info/RECORD")):
        (record.parent / "direct_url.json").unlink(missing_ok=True)  # names a file of this machine
        _keep_what_is_there(record)
    programs = tree / VENV / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to("/usr/bin/python3")
    (programs / "python").symlink_to("python3")
    (programs / "dockd").write_text(LAUNCHER.format(venv=VENV), "utf-8")
    (tree / VENV / "pyvenv.cfg").write_text(PYVENV, "utf-8")
    # Compiled here, once: nothing may write there later. The sources belong to the same package, so they are not
    # compared with them at every start.
    compile_all = ["-m", "compileall", "-q", "-f", "--invalidation-mode=unchecked-hash", "-s", str(tree), "-p", "/"]
    _run(sys.executable, *compile_all, str(site))


def _own_wheel(scratch: Path) -> Path:
    """dockd's own packages as a wheel, built from a copy so that no left-over of another build gets in."""
    source = scratch / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    wheels = scratch / "wheels"
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", f"--wheel-dir={wheels}", str(source))
    (wheel,) = wheels.glob("dockd-*.whl")
    return wheel


def without_package(lock: str, name: str) -> str:
    """The lock without one package: what only builds is not shipped."""
    blocks = re.split(r"(?m)^(?=\S)", lock)
    return "".join(block for block in blocks if not block.startswith(f"{name}=="))


def _keep_what_is_there(record: Path) -> None:
    """Drop the lines of a RECORD (PEP 376) for files that are not shipped."""
    with record.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row and (record.parent.parent / row[0]).exists()]
    with record.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(sorted(row for row in rows if not row[0].startswith("..")))


def add_host_files(tree: Path, epoch: int) -> None:
    """Units, rules, configuration and documents."""
    for source, place in FILES.items():
        _copy(DEPLOY / source, tree / place)
    documents = tree / "usr/share/doc/dockd"
    for document in sorted((ROOT / "docs").rglob("*.md")):
        _copy(document, documents / document.relative_to(ROOT / "docs"))
    with (documents / "changelog.gz").open("wb") as file:
        file.write(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), 9, mtime=epoch))
    link = tree / "usr/bin/dockd"
    link.parent.mkdir(parents=True)
    link.symlink_to(Path("..", VENV.relative_to("usr"), "bin/dockd"))


def settle(tree: Path, epoch: int) -> None:
    """Modes and times that depend on nothing but what a file is."""
    for path in [tree, *sorted(tree.rglob("*"))]:
        if not path.is_symlink():
            is_program = path.is_dir() or str(path.relative_to(tree)) in EXECUTABLES
            path.chmod(0o755 if is_program else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def write_control(tree: Path, version: str) -> None:
    """The control files: what it is, its configuration files, its digests, its scripts."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    size_kib = sum(-(-path.stat().st_size // 1024) for path in files)
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files]  # noqa: S324 - dpkg's format
    conffiles = [f"/{place}\n" for place in sorted(FILES.values()) if place.startswith("etc/")]
    control = tree / "DEBIAN"
    control.mkdir(mode=0o755)
    text = CONTROL.format(version=version, architecture=ARCHITECTURE, size_kib=size_kib, depends=DEPENDS)
    (control / "control").write_text(text, "utf-8")
    (control / "md5sums").write_text("".join(sums), "utf-8")
    (control / "conffiles").write_text("".join(conffiles), "utf-8")
    for name in SCRIPTS:
        _copy(DEPLOY / "deb" / name, control / name)
        (control / name).chmod(0o755)


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def _own_version() -> str:
    text = (ROOT / "dockd/__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        sys.exit("dockd/__init__.py names no version.")
    return found[1]


def _epoch() -> int:
    """SOURCE_DATE_EPOCH as given, else the time of the last commit, else of the change log."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None and shutil.which("git") is not None:
        command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
        given = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    return int(given) if given is not None else int((ROOT / "CHANGELOG.md").stat().st_mtime)


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
