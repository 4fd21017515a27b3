"""`dockd bays`: which USB port is which bay."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from dockd.cli.options import config_option
from dockd.config.dock import load_dock_config
from dockd.dock.bay_map import BayMap, learn_bays, load_bay_map, save_bay_map
from dockd.dock.hotplug import UsbSwitch, UsbWatcher
from dockd.dock.udev_rules import RULES_FILE, bay_rules
from dockd.dock.udev_source import companion_port
from dockd.dock.usb_policy import UsbConfig
from dockd.errors import BadRequest, ForbiddenDevice
from dockd.model.camera import Port
from dockd.model.ids import BayId, parse_id


class _SwitchedOff:
    """While learning nothing is switched on: where a camera sits can be told without that."""

    async def authorise(self, port: Port) -> None:
        raise ForbiddenDevice(f"The device at USB port {port.path} is not switched on while bays are learned.")


@click.group("bays")
def bays() -> None:
    """Teach the dock which USB port is which bay, and show what it knows."""


@bays.command("show")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(config_file: Path, as_json: bool) -> None:
    """Print the bay map."""
    path = Path(load_dock_config(config_file).usb.bays_file)
    bay_map = load_bay_map(path)
    if as_json:
        rows = [{"bay": one.bay, "port": one.port, "companion_port": one.companion_port} for one in bay_map.bays]
        click.echo(json.dumps(rows, indent=2))
        return
    for one in bay_map.bays:
        click.echo(f"bay {one.bay}: USB port {' and '.join(one.ports)}")
    if not bay_map.bays:
        click.echo(f"No bay is known in {path}. Teach the dock with: dockd bays learn 1 2 3 4")


@bays.command("rules")
@config_option
@click.option("--write", "is_written", is_flag=True, help=f"Write {RULES_FILE} instead of printing.")
def rules(config_file: Path, is_written: bool) -> None:
    """Make the udev rules for the ports of the bay map: only dockd lets a device in there, nothing else mounts it.

    They name the dock's own ports and no others. To be made again whenever the bay map or [usb] hubs has changed.
    """
    usb = load_dock_config(config_file).usb
    text = bay_rules(load_bay_map(Path(usb.bays_file)), usb)
    if not is_written:
        click.echo(text, nl=False)
        return
    write_rules(RULES_FILE, text)
    click.echo(
        f"{RULES_FILE} is written. Now: udevadm control --reload && udevadm trigger --action=add -s usb -s block"
    )


def write_rules(path: Path, text: str) -> None:
    """Put `text` in the place of the rules file, whole or not at all. Raises BadRequest."""
    draft = path.with_name(f".{path.name}.new")  # udev reads only names that end in .rules
    try:
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        raise BadRequest(f"{path} cannot be written: {error.strerror}.", action="Run the command as root.") from error


@bays.command("learn")
@config_option
@click.argument("names", nargs=-1, required=True)
def learn(config_file: Path, names: tuple[str, ...]) -> None:
    """Learn the ports of the bays NAMES, in this order, by putting a camera into each in turn.

    Bays that are known already and not named here are kept. Stop the dock's service first: it would begin to
    work on the camera.
    """
    bay_ids = [BayId(parse_id(name, "bay")) for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise click.UsageError(f"Named twice: {', '.join(twice)}.")
    usb = load_dock_config(config_file).usb
    path = Path(usb.bays_file)
    known = load_bay_map(path)
    # Found out now, and not after a walk along the whole dock.
    save_bay_map(path, known)
    asyncio.run(_learn(usb, path, known, bay_ids, _SwitchedOff()))


async def _learn(usb: UsbConfig, path: Path, known: BayMap, bay_ids: list[BayId], switch: UsbSwitch) -> None:
    watcher = UsbWatcher(usb, switch, bay_ports=None)
    async with watcher.ports() as events:
        await learn_bays(
            events,
            bay_ids,
            click.echo,
            known=known,
            present=watcher.occupied_ports(),
            save=lambda bay_map: save_bay_map(path, bay_map),
            companion=lambda port: companion_port(Path(port.node)),
        )
