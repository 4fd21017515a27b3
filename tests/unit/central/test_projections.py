"""The reading aid beside the facts: moves only forward, survives anything a dock may say."""

from __future__ import annotations

from dockd.central.projections import Projection
from dockd.central.words import custody_words
from dockd.model import facts as f
from dockd.model.recording import ContainerVerdict, StagedRecording
from tests.support.dock_voice import Chain

LISTED = f.RecordingListed(
    recording="r1",
    session="s1",
    camera="simulated:C",
    path="A.MP4",
    size_bytes=10,
    modified_ns=None,
    generation=0,
    recorded_at=None,
    officer=None,
)
STAGED = f.RecordingStaged(
    staged=StagedRecording(
        recording="r1",
        session="s1",
        digest="ab" * 32,
        size_bytes=10,
        container=ContainerVerdict.COMPLETE,
        is_read_whole=True,
    )
)


def folded(*bodies: f.Fact) -> Projection:
    chain = Chain()
    projection = Projection()
    for fact in chain.add(*bodies):
        projection.fold(fact)
    return projection


def test_recording_never_goes_back() -> None:
    discarded = f.CopyDiscarded(recording="r1", code="copy-damaged", reason="bad disk")
    rejected = f.RecordingRejected(recording="r1", code="never", reason="no")
    row = folded(LISTED, STAGED, discarded).recordings["dock-7", "r1"]
    assert (row.state, row.reason) == ("STAGED", "bad disk")
    assert folded(LISTED, rejected, STAGED).recordings["dock-7", "r1"].state == "REJECTED"


def test_facts_about_things_never_announced_change_no_row() -> None:
    projection = folded(STAGED, f.CameraUndocked(session="s9", bay="b", camera=None))
    assert projection.sessions == {}
    assert projection.recordings == {}
    assert len(projection.lines) == 1


def test_every_line_is_one_sentence_without_nul() -> None:
    rejected = f.RecordingRejected(recording="r1", code="never\0", reason="no\0" * 1300)
    for line in folded(LISTED, STAGED, rejected).lines:
        assert "\0" not in line["words"]
        assert len(line["words"]) <= 4000
    assert custody_words(f.DockStopped()) is None
