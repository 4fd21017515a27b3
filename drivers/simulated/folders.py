"""Making camera folders: for the demonstration, for training and for tests."""

from __future__ import annotations

from pathlib import Path

from drivers.simulated.description import CameraDescription, render_description
from drivers.simulated.docked import CARD_NAME, DESCRIPTION_NAME


def make_camera_folder(folder: Path, description: CameraDescription) -> Path:
    """Make the camera `folder` with an empty card and return its card folder.

    Make it outside the bays, put files on the card, then move it into a bay: it counts as docked the
    moment it lies there complete. Raises FileExistsError when `folder` is there already.
    """
    folder.mkdir(parents=True)
    card = folder / CARD_NAME
    card.mkdir()
    (folder / DESCRIPTION_NAME).write_bytes(render_description(description))
    return card
