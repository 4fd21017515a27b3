"""Custody out: manifests, exports and their proof, checkable with public tools and without any server.

Knows facts, receipts, digests and files. Must not know the network, the dock's journal or the centre's
tables: facts and footage are given to it.
"""
