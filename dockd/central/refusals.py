"""Every way in which the centre says no, each with one stable code.

The general ones are in `dockd.web.problems`. A code that stands here is a promise to docks: 4xx is "never
as it is", 503 and 507 are "later".
"""

from __future__ import annotations

from dockd.web.problems import ProblemKind

# --- facts --------------------------------------------------------------------------------------
GAP = ProblemKind("gap", 409, "Gap in the chain", "facts between the last held and the first sent are missing")
FORK = ProblemKind("fork", 409, "Fork of the chain", "the first new fact does not follow the last one held")
REWRITE = ProblemKind("rewrite", 409, "Rewritten fact", "a fact already held is sent again with another hash")
BAD_HASH = ProblemKind("bad-hash", 422, "Wrong hash", "a fact's hash is not that of its content")
WRONG_DOCK = ProblemKind("wrong-dock", 422, "Wrong dock", "the body speaks of another dock than the address")
OTHER_KEY = ProblemKind(
    "other-key",
    409,
    "Another key",
    "the dock announces another signing key than before; an administrator must allow it (`dockd central accept-key`)",
)
BAD_SIGNATURE = ProblemKind(
    "bad-signature", 409, "Wrong signature", "a signed checkpoint does not verify with the dock's key"
)

# --- claims and uploads -------------------------------------------------------------------------
PARTS_DIFFER = ProblemKind("parts-differ", 422, "Parts do not fit", "the list of parts does not fit the size or digest")
CLAIM_DIFFERS = ProblemKind(
    "claim-differs", 409, "Claims differ", "this digest is known with another size or other parts"
)
PARTS_MISSING = ProblemKind("parts-missing", 409, "Parts missing", "not every part has arrived; ask which, send them")
DIGEST_DIFFERS = ProblemKind(
    "digest-differs", 409, "Digest differs", "the parts together do not have the claimed digest; they were thrown away"
)
PART_DAMAGED = ProblemKind(
    "part-damaged", 503, "Part damaged here", "the centre's disk gave back other bytes than arrived; send those again"
)

# --- parts --------------------------------------------------------------------------------------
BAD_ADDRESS = ProblemKind("bad-address", 403, "Address not valid", "the part address was not issued like this")
EXPIRED = ProblemKind("expired", 403, "Address expired", "the part address is too old; ask for a fresh one")
LENGTH_REQUIRED = ProblemKind("length-required", 411, "Length required", "a part needs a Content-Length")
LENGTH_DIFFERS = ProblemKind("length-differs", 400, "Length differs", "Content-Length is not the part's size")
PART_DIFFERS = ProblemKind("part-differs", 400, "Part differs", "the bytes have not the part's digest; none was kept")

# --- the store ----------------------------------------------------------------------------------
STORE_FULL = ProblemKind("store-full", 507, "Store full", "no room above the floor; later")
STORE_SUSPECT = ProblemKind("store-suspect", 503, "Store suspect", "the centre's disk failed; later")
BUSY = ProblemKind("busy", 503, "Busy", "somebody else is at the same thing; later")
DATABASE_AWAY = ProblemKind(
    "database-away", 503, "Database away", "the centre's database does not answer, or is being moved; later"
)

# --- documents ----------------------------------------------------------------------------------
BAD_NAME = ProblemKind("bad-name", 422, "Name not allowed", "a manifest may not have this name")
MANIFEST_DIFFERS = ProblemKind(
    "manifest-differs", 409, "Manifest differs", "a manifest of this name is stored with other content"
)
BODY_DIFFERS = ProblemKind("body-differs", 400, "Body differs", "the bytes have not the digest that the header names")

CENTRE_KINDS = (
    GAP,
    FORK,
    REWRITE,
    BAD_HASH,
    WRONG_DOCK,
    OTHER_KEY,
    BAD_SIGNATURE,
    PARTS_DIFFER,
    CLAIM_DIFFERS,
    PARTS_MISSING,
    DIGEST_DIFFERS,
    PART_DAMAGED,
    BAD_ADDRESS,
    EXPIRED,
    LENGTH_REQUIRED,
    LENGTH_DIFFERS,
    PART_DIFFERS,
    STORE_FULL,
    STORE_SUSPECT,
    BUSY,
    DATABASE_AWAY,
    BAD_NAME,
    MANIFEST_DIFFERS,
    BODY_DIFFERS,
)
