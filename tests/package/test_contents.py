"""Claims about what is in the package, without installing it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.bare_debian import ROOT, build_package

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="not installed: dpkg-deb"),
]

SITE = "usr/lib/dockd/venv/lib/python3.11/site-packages"
RUNNABLE = {"usr/lib/dockd/venv/bin/dockd"}


@pytest.fixture(scope="module")
def members(package: Path) -> dict[str, tarfile.TarInfo]:
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        return {member.name.removeprefix("./"): member for member in tar}


@pytest.fixture(scope="module")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(folder / "tree")], check=True)
    yield folder / "tree"
    shutil.rmtree(folder)


def test_everything_belongs_to_root_and_nobody_else_may_change_it(members: dict[str, tarfile.TarInfo]) -> None:
    for name, member in members.items():
        assert (member.uname, member.gname) == ("root", "root"), name
        if not member.issym():
            is_program = member.isdir() or name in RUNNABLE
            assert member.mode == (0o755 if is_program else 0o644), name


def test_nothing_of_the_building_machine_is_in_it(tree: Path, sources: Path) -> None:
    traces = (str(sources).encode(), str(ROOT).encode(), b"dockd-deb-")
    found = [
        str(path.relative_to(tree))
        for path in tree.rglob("*")
        if path.is_file() and not path.is_symlink() and any(trace in path.read_bytes() for trace in traces)
    ]
    assert found == []
    assert list(tree.rglob("direct_url.json")) == []


def test_the_interpreter_is_debians_own(tree: Path) -> None:
    programs = tree / "usr/lib/dockd/venv/bin"
    assert (programs / "python3").readlink() == Path("/usr/bin/python3")
    assert (programs / "dockd").read_text().splitlines()[0] == "#!/usr/lib/dockd/venv/bin/python3 -I"
    assert "home = /usr/bin\n" in (programs.parent / "pyvenv.cfg").read_text()
    assert sorted(path.name for path in programs.iterdir()) == ["dockd", "python", "python3"]


def test_every_file_of_the_sources_is_in_it(tree: Path, sources: Path) -> None:
    documents = {".md"}
    wanted = {
        path.relative_to(sources)
        for name in ("dockd", "drivers", "migrations")
        for path in (sources / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in documents
    }
    assert {str(path) for path in wanted if not (tree / SITE / path).exists()} == set()


def test_every_module_is_compiled_already(tree: Path) -> None:
    """Nothing may write there later, and a dock that starts after a power cut has no time to lose."""
    modules = list((tree / SITE / "dockd").rglob("*.py"))
    assert len(modules) > 100
    assert [
        path for path in modules if not list((path.parent / "__pycache__").glob(f"{path.stem}.cpython-311.pyc"))
    ] == []


def test_only_locked_packages_are_in_it_and_none_that_only_builds(tree: Path, sources: Path) -> None:
    locked = dict(re.findall(r"^(\S+)==(\S+)", (sources / "requirements-run.lock").read_text(), re.MULTILINE))
    names = (path.name.removesuffix(".dist-info").rpartition("-") for path in (tree / SITE).glob("*.dist-info"))
    shipped = {name.replace("_", "-").lower(): version for name, _, version in names}
    del shipped["dockd"]
    assert shipped == {name: version for name, version in locked.items() if name != "setuptools"}


def test_configuration_files_are_kept_over_an_upgrade(tree: Path) -> None:
    listed = (tree / "DEBIAN/conffiles").read_text().split()
    shipped = [f"/{path.relative_to(tree)}" for path in (tree / "etc").rglob("*") if path.is_file()]
    assert sorted(listed) == sorted(shipped) == ["/etc/dockd/central.toml", "/etc/systemd/journald.conf.d/dockd.conf"]


def test_no_script_of_it_can_remove_state(tree: Path) -> None:
    for name in ("postinst", "prerm", "postrm"):
        for line in (tree / "DEBIAN" / name).read_text().splitlines():
            assert not re.search(r"\brm(dir)?\b.*/var/lib", line), f"{name}: {line}"
            assert not re.search(r"\b(deluser|userdel|delgroup|groupdel)\b", line), f"{name}: {line}"


def test_scripts_are_sound_shell(tree: Path) -> None:
    for name in ("postinst", "prerm", "postrm"):
        subprocess.run(["sh", "-n", str(tree / "DEBIAN" / name)], check=True)


def test_it_asks_for_no_more_than_a_dock_host_has(tree: Path) -> None:
    control = (tree / "DEBIAN/control").read_text()
    depends = re.search(r"^Depends: (.*)$", control, re.MULTILINE)
    assert depends is not None
    names = {part.split()[0] for part in depends[1].split(", ")}
    assert names == {"python3", "libc6", "libudev1", "systemd", "udev", "init-system-helpers"}
    assert "python3 (<< 3.12)" in depends[1]


def test_the_same_sources_give_the_same_package_wherever_it_is_built(
    package: Path, sources: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another" / "place"
    shutil.copytree(sources, elsewhere)
    again = build_package(elsewhere, tmp_path, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"})
    if again.read_bytes() != package.read_bytes():
        assert different(package, again) == []
    assert again.read_bytes() == package.read_bytes()


def different(one: Path, other: Path) -> list[str]:
    """Names of the files that differ, for the message."""
    sums = []
    for package in (one, other):
        text = subprocess.run(["dpkg-deb", "-I", str(package), "md5sums"], capture_output=True, text=True, check=True)
        sums.append(set(text.stdout.splitlines()))
    return sorted({line.split("  ", 1)[1] for line in sums[0] ^ sums[1]})
