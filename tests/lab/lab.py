"""The laboratory: where the guests come from, and where their logs go.

Composition root of `tests/lab`: builds or finds the guest image, the package and the installed host, and hands out
guests, centres and cameras to scenarios.
"""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.accounts import Accounts
from tests.lab.camera_image import CameraImage
from tests.lab.centre import Centre
from tests.lab.guest import PAGE_PORT, Guest
from tests.lab.guest_image import LabUnavailable, guest_image
from tests.lab.installation import InstalledDock, SavedHost, build_package, installed_dock, package_dependencies
from tests.lab.machine import Hardware, check_programs, make_overlay
from tests.support.processes import quiet_port

__all__ = ["Lab", "LabUnavailable", "Scene", "SharedDock"]


class Lab:
    """Everything that scenarios share. Raises LabUnavailable naming what this host lacks."""

    def __init__(self, cache: Path, accelerator: str = "tcg", package: Path | None = None) -> None:
        check_programs()
        self.cache = cache
        self.accelerator = accelerator
        with ThreadPoolExecutor(1) as builder:
            building = builder.submit(lambda: package or build_package(cache))
            image = guest_image(cache, package_dependencies(package))
            package = building.result()
        with tempfile.TemporaryDirectory(prefix="lab-") as folder:
            try:
                self.installed: InstalledDock = installed_dock(cache, image, package, Path(folder), accelerator)
            except BaseException:
                kept_logs = cache / "logs" / "installation"
                shutil.rmtree(kept_logs, ignore_errors=True)
                shutil.copytree(folder, kept_logs, ignore=shutil.ignore_patterns("*.tar", "qmp", "agent"))
                print(f"\nThe guest's log is kept in {kept_logs}")
                raise


class Scene:
    """One scenario's guests, centre and cameras. To be ended with `close` whatever happens."""

    def __init__(self, lab: Lab, name: str, seed: int) -> None:
        self._lab = lab
        self._name = name
        self.seed = seed
        self.dice = random.Random(f"{seed} {name}")
        # Unix sockets need a short path.
        self.folder = Path(tempfile.mkdtemp(prefix="lab-"))
        self.guests: list[Guest] = []
        self.cameras: list[CameraImage] = []
        self._unnamed = 0
        self._facts_before = 0
        self._told_before_bytes = 0
        self.centre = Centre(lab.installed.centre, self.folder, self.folder / "centre.log")

    def start_guest(self, *, is_power_cut_planned: bool = False, is_switched_on: bool = False) -> Guest:
        """A dock host that was just set up, connected to the centre. A second one is the very same host again.

        It goes on where it was saved; `is_switched_on`: it starts as after a loss of power.
        """
        guest = self._restore(
            self._lab.installed.for_scenarios,
            is_power_cut_planned=is_power_cut_planned,
            is_switched_on=is_switched_on,
        )
        guest.connect(self.centre)
        guest.until(lambda dock: dock.is_centre_reachable, "the dock to reach the centre")
        return guest

    @property
    def dock(self) -> Guest:
        """The dock host of this scene: the first that was started."""
        return self.guests[0]

    def start_by_guide(self) -> Guest:
        """A dock host as the install guide leaves it: its centre beside it, its page on its own loopback only."""
        return self._restore(self._lab.installed.by_guide)

    def _restore(self, host: SavedHost, *, is_power_cut_planned: bool = False, is_switched_on: bool = False) -> Guest:
        installed = self._lab.installed
        place = self.folder / f"guest-{len(self.guests) + 1}"
        place.mkdir()
        make_overlay(place / "disk.qcow2", host.disk, "qcow2")
        page_port = quiet_port()
        hardware = Hardware(
            installed.image,
            place / "disk.qcow2",
            place,
            is_power_cut_planned=is_power_cut_planned,
            saved_state=None if is_switched_on else host.state,
            forwards=((page_port, PAGE_PORT),),
            accelerator=self._lab.accelerator,
        )
        guest = Guest(hardware, page_port)
        self.guests.append(guest)
        guest.set_clock()
        return guest

    def camera(self, serial: str | None = None, **options: Any) -> CameraImage:
        """A camera with recordings that no other camera has; options as of `CameraImage.make`.

        Without a serial number it gets one that no camera of this scene had.
        """
        if serial is None:
            self._unnamed += 1
            serial = f"BWC9{self._unnamed:03}"
        camera = CameraImage.make(self.folder, serial, seed=self.seed, **options)
        self.cameras.append(camera)
        return camera

    def accounts(self, guest: Guest | None = None) -> Accounts:
        """The books of a dock (the first one) about all cameras of this scene."""
        return Accounts.of(guest or self.dock, self.centre.folder, self.cameras, self.folder, self._facts_before)

    def next_scenario(self, name: str) -> None:
        """Another scenario on the same dock, which is at rest: what was before is not judged again."""
        guest = self.dock
        self._name = name
        self.dice = random.Random(f"{self.seed} {name}")
        self._facts_before = guest.until_settled().facts
        self._told_before_bytes = guest.console_bytes()
        for camera in self.cameras:
            camera.file.unlink()
        self.cameras = []

    def dismiss(self, guest: Guest) -> None:
        """Switch off a guest that no later scenario needs."""
        guest.close()
        self.guests.remove(guest)

    def check_sound(self) -> None:
        """Fails when a guest's log tells of a bug."""
        for guest in self.guests:
            guest.check_sound(self._told_before_bytes)

    def keep_logs(self) -> Path:
        """Copy everything that may explain a failure to a folder, and return it."""
        kept_logs = self._lab.cache / "logs" / re.sub(r"[^A-Za-z0-9_-]+", "-", self._name)[:120]
        shutil.rmtree(kept_logs, ignore_errors=True)
        kept_logs.mkdir(parents=True)
        for guest in self.guests:
            place = kept_logs / guest.machine.hardware.folder.name
            place.mkdir()
            guest.keep_logs(place)
            for log in guest.machine.hardware.folder.glob("*.log"):
                shutil.copy(log, place)
        shutil.copy(self.folder / "centre.log", kept_logs)
        return kept_logs

    def close(self) -> None:
        """Switch everything off and clear up."""
        for guest in self.guests:
            guest.close()
        self.centre.stop()
        shutil.rmtree(self.folder)


class SharedDock:
    """One dock host for the scenarios that leave it as they found it, one after the other, as in a station.

    Its journal, its store and its log go on. A scenario that fails takes the dock with it: the next gets a new one.
    """

    def __init__(self, lab: Lab, seed: int) -> None:
        self._lab = lab
        self._seed = seed
        self._scene: Scene | None = None

    def scene_for(self, name: str) -> Scene:
        """The place of the next scenario, its dock connected and at rest."""
        with self._thrown_away_on_failure():
            if self._scene is None:
                self._scene = Scene(self._lab, "shared dock", self._seed)
                self._scene.start_guest()
            self._scene.next_scenario(name)
            return self._scene

    def end_turn(self, *, is_fit: bool) -> None:
        """The scenario is over; fails when it left the dock with something to do, or a card mounted."""
        if not is_fit or self._scene is None:
            self.close()
            return
        with self._thrown_away_on_failure():
            self._scene.dock.until_settled()
            mounted = self._scene.dock.cards_in_sight_of_the_daemon()
            assert not mounted, f"cards that have left are still mounted: {mounted}"

    @contextmanager
    def _thrown_away_on_failure(self) -> Iterator[None]:
        try:
            yield
        except AssertionError:
            if self._scene is not None:
                print(f"\nThe guest's log is kept in {self._scene.keep_logs()}")
            self.close()
            raise

    def close(self) -> None:
        """Switch it off; whoever asks for a scene afterwards gets a new dock."""
        scene, self._scene = self._scene, None
        if scene is not None:
            scene.close()
