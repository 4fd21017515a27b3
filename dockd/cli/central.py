"""`dockd central …`: the commands of the centre, and where each lives."""

from __future__ import annotations

import click

from dockd.cli.verbs import Verb, Verbs

CENTRAL_VERBS: dict[str, Verb] = {
    "init": Verb("dockd.cli.central_setup:init", "Make a centre: store id, keys, certificate authority, database."),
    "run": Verb("dockd.cli.central_serve:run", "Serve docks and pages until stopped."),
    "verifier": Verb("dockd.cli.central_serve:verifier", "Read objects back from the bucket for proof."),
    "invite": Verb("dockd.cli.central_docks:invite", "Print a token that enrols one dock, once."),
    "docks": Verb("dockd.cli.central_docks:docks", "The enrolled docks."),
    "accept-key": Verb("dockd.cli.central_docks:accept_key", "Allow a dock to go on under another signing key, once."),
    "people": Verb("dockd.cli.central_people:people", "Accounts of people: the first administrator, lost passwords."),
    "import": Verb("dockd.cli.central_import:import_list", "Bring in the force's list of sites, officers or cameras."),
    "retention": Verb("dockd.cli.central_retention:retention", "Say what policy would delete tonight, and delete it."),
}


@click.command("central", cls=Verbs, verbs=CENTRAL_VERBS)
def central() -> None:
    """Run the centre: take footage from docks, prove it, sign receipts."""
