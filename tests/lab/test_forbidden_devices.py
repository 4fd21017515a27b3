"""Things in a bay that are no cameras: never switched on, held in words, and nothing of them reaches the computer."""

from __future__ import annotations

from tests.lab.guest import Guest
from tests.lab.installation import GADGET_BAY, GADGET_PORT
from tests.lab.lab import Scene

_COMPOSITE = r"""
modprobe libcomposite
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
truncate -s 8M /root/card.img
cd /sys/kernel/config/usb_gadget
mkdir bad && cd bad
echo 0x1d6b > idVendor
echo 0x0104 > idProduct
mkdir strings/0x409
echo BWC0666 > strings/0x409/serialnumber
mkdir configs/c.1 functions/mass_storage.0 functions/hid.0
echo /root/card.img > functions/mass_storage.0/lun.0/file
echo 1 > functions/hid.0/protocol
echo 1 > functions/hid.0/subclass
echo 8 > functions/hid.0/report_length
printf "$1" > functions/hid.0/report_desc
ln -s functions/mass_storage.0 configs/c.1/
ln -s functions/hid.0 configs/c.1/
"""
"""A disk and a boot keyboard in one device (report descriptor: HID 1.11, appendix B.1), made by the kernel's own
gadget drivers on a controller without hardware."""
_TAKEN_APART = r"""
cd /sys/kernel/config/usb_gadget/bad
rm configs/c.1/mass_storage.0 configs/c.1/hid.0
rmdir configs/c.1 functions/mass_storage.0 functions/hid.0 strings/0x409
cd .. && rmdir bad
rm /root/card.img
"""
_BOOT_KEYBOARD = bytes.fromhex(
    "05010906a1010507 19e029e7150025017501950881029501750881039506750815002565050719002965 8100c0"
)


def test_a_keyboard_in_a_bay_is_held_and_types_nothing(shared: Scene) -> None:
    guest = shared.dock
    bay = guest.bays["4"]
    inputs = _inputs(guest)
    guest.shell("systemd-run --quiet --unit=eavesdrop sh -c 'cat /dev/input/event* > /root/typed'")
    bay.put("usb-kbd")
    held = guest.until_state(bay, "held")

    assert held.code == "forbidden-device"
    assert "keyboard" in held.words
    assert guest.run("cat", f"/sys/bus/usb/devices/{bay.kernel_path}/authorized").strip() == "0"
    for key in "evil":
        guest.machine.qmp("send-key", keys=[{"type": "qcode", "data": key}])
    guest.machine.qmp("send-key", keys=[{"type": "qcode", "data": "ret"}])
    assert _inputs(guest) == inputs, "the kernel has a new keyboard"
    assert _interfaces(guest, bay.kernel_path) == ""
    _release_and_see_it_held_again(guest, "4")
    bay.pull()
    guest.until_empty()
    guest.shell("systemctl stop eavesdrop.service 2> /dev/null || true")
    assert guest.read_file("/root/typed") == b"" or not inputs
    shared.accounts().check_chain()


def test_a_network_adapter_in_a_bay_is_held_and_gives_no_network(shared: Scene) -> None:
    guest = shared.dock
    bay = guest.bays["11"]
    networks = guest.run("ls", "/sys/class/net")
    guest.machine.qmp("netdev_add", type="user", id="evil")
    bay.put("usb-net", netdev="evil")
    held = guest.until_state(bay, "held")

    assert held.code == "forbidden-device"
    assert "network card" in held.words
    assert guest.run("ls", "/sys/class/net") == networks
    assert _interfaces(guest, bay.kernel_path) == ""
    _release_and_see_it_held_again(guest, "11")
    bay.pull()
    guest.until_empty()
    shared.accounts().check_chain()


def test_a_disk_that_is_also_a_keyboard_is_held_and_neither_is_used(shared: Scene) -> None:
    guest = shared.dock
    guest.shell(_COMPOSITE, "".join(f"\\{byte:03o}" for byte in _BOOT_KEYBOARD))
    inputs, disks = _inputs(guest), guest.run("lsblk", "-dno", "NAME")

    guest.shell("ls /sys/class/udc > /sys/kernel/config/usb_gadget/bad/UDC")
    held = guest.until(
        lambda dock: any(one.bay == GADGET_BAY and one.state == "held" for one in dock.bays), "it to be held"
    )

    shown = next(one for one in held.bays if one.bay == GADGET_BAY)
    assert shown.code == "forbidden-device"
    assert "also acts as a keyboard" in shown.words
    assert guest.run("cat", f"/sys/bus/usb/devices/{GADGET_PORT}/authorized").strip() == "0"
    assert _inputs(guest) == inputs
    assert guest.run("lsblk", "-dno", "NAME") == disks, "the disk half of it was switched on"
    guest.shell("echo > /sys/kernel/config/usb_gadget/bad/UDC")
    guest.until_empty()
    guest.shell(_TAKEN_APART)
    shared.accounts().check_chain()


def _release_and_see_it_held_again(guest: Guest, bay: str) -> None:
    """Releasing a bay is no permission."""
    guest.release(guest.bays[bay])
    assert guest.until_state(guest.bays[bay], "held").code == "forbidden-device"


def _inputs(guest: Guest) -> str:
    return guest.shell("grep ^N: /proc/bus/input/devices | sort || true")


def _interfaces(guest: Guest, port: str) -> str:
    return guest.shell(f"ls -d /sys/bus/usb/devices/{port}:* 2> /dev/null || true").strip()
