"""Runs every claim of `scenarios.py` under umockdev, where sysfs and udev's events are ours to play.

umockdev is preloaded, so the scenarios need a process of their own: one for all of them, and each is a test here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.nested_pytest import Outcomes, assert_holds, claims_of, run_claims

SCENARIOS = Path(__file__).with_name("scenarios.py")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    wrapper = shutil.which("umockdev-wrapper")
    if wrapper is None:
        pytest.skip("umockdev is not installed (Debian: umockdev, gir1.2-umockdev-1.0, python3-gi)")
    return run_claims([wrapper], SCENARIOS, tmp_path_factory.mktemp("umockdev") / "report.xml")


@pytest.mark.parametrize("name", claims_of(SCENARIOS))
def test_at_the_usb_ports(name: str, outcomes: Outcomes) -> None:
    assert_holds(name, outcomes)
