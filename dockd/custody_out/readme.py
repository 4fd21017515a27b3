"""The README of an export: how to check it without us. Kept in step with `docs/verifying.md`."""

from __future__ import annotations

README = """\
WHAT THIS IS

An export of body-worn camera footage with the record of its custody. Every file here can be
checked with public tools; none of them has to be ours. The long form of this text, with what each
check proves, is docs/verifying.md of the dockd project.

footage/DOCK/SESSION/     the footage, byte for byte as it was read from the camera
receipts/DOCK/            the central store's signed word that it holds exactly these bytes
docks/DOCK/facts.jsonl    everything the dock wrote down, one fact a line, each naming the one before
docks/DOCK/key-1/         the dock's public key and the last checkpoint that it signed
store/STORE/              the public key of the receipts
export.json               what was asked for, what is here, what is missing and why

HOW TO CHECK IT (in this folder, in a shell)

1. Nothing was changed since the export:
     sha256sum --check --quiet --strict manifest-sha256.txt

2. The footage of each session, once with SHA-256 and once as an ASC Media Hash List:
     (cd footage/DOCK/SESSION && sha256sum --check --strict manifest-sha256.txt)
     ascmhl-debug verify footage/DOCK/SESSION

3. A receipt:
     openssl pkeyutl -verify -rawin -pubin -inkey store/STORE/public-key.pem \\
       -in receipts/DOCK/RECORDING.signed -sigfile receipts/DOCK/RECORDING.signature

4. The dock's last checkpoint, whose text is the hash of a fact:
     openssl pkeyutl -verify -rawin -pubin -inkey docks/DOCK/key-1/public-key.pem \\
       -in docks/DOCK/key-1/FACT.signed -sigfile docks/DOCK/key-1/FACT.signature

5. All of it at once, and the order of custody, with our own program and no server:
     dockd verify .

The keys in here prove nothing by themselves: compare them with those that the force published.
     openssl pkey -pubin -in store/STORE/public-key.pem -outform DER | sha256sum
"""
