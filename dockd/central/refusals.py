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

# --- who is asking ------------------------------------------------------------------------------
TLS_REQUIRED = ProblemKind(
    "tls-required", 403, "TLS required", "docks are served over TLS only, at the address that their token named"
)
CERTIFICATE_REQUIRED = ProblemKind(
    "certificate-required", 403, "Certificate required", "the dock showed no certificate; enrol it"
)
CERTIFICATE_UNKNOWN = ProblemKind(
    "certificate-unknown", 403, "Certificate unknown", "the certificate is not on record here; enrol the dock again"
)
CERTIFICATE_EXPIRED = ProblemKind(
    "certificate-expired", 403, "Certificate expired", "the dock's certificate is too old; enrol the dock again"
)
CERTIFICATE_REVOKED = ProblemKind(
    "certificate-revoked", 403, "Certificate revoked", "the dock's certificate was withdrawn at the centre"
)
CERTIFICATE_KINDS = (CERTIFICATE_REQUIRED, CERTIFICATE_UNKNOWN, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED)
"""What a caller may be told who is not known to be a dock of this centre, or no longer."""
NOT_YOURS = ProblemKind("not-yours", 403, "Not this dock's", "a dock reads and writes only what is its own")
NOT_FOR_DOCKS = ProblemKind("not-for-docks", 403, "Not for docks", "this is for people, at the centre's other address")

# --- enrolment ----------------------------------------------------------------------------------
TOKEN_UNKNOWN = ProblemKind(
    "token-unknown", 409, "Token unknown", "this centre gave no such token, or somebody changed it"
)
TOKEN_USED = ProblemKind("token-used", 409, "Token used", "the token has enrolled a dock already; ask for a new one")
TOKEN_EXPIRED = ProblemKind("token-expired", 409, "Token expired", "the token is too old; ask for a new one")
TOKEN_OF_OTHER_DOCK = ProblemKind(
    "token-of-other-dock", 409, "Token of another dock", "the token was given for another dock"
)
DOCK_KNOWN = ProblemKind(
    "dock-known", 409, "Dock known", "a dock of this name is known; invite it by name (`--dock`) to enrol it again"
)
BAD_KEY_REQUEST = ProblemKind(
    "bad-key-request", 422, "Bad certificate request", "the request is not signed with its own P-256 key"
)
NO_AUTHORITY = ProblemKind(
    "no-authority", 409, "No certificate authority", "this centre cannot enrol docks; `dockd central init` mends it"
)

# --- people -------------------------------------------------------------------------------------
SIGN_IN_REQUIRED = ProblemKind("sign-in-required", 401, "Sign in", "this is for people who have signed in")
WRONG_SIGN_IN = ProblemKind("wrong-sign-in", 401, "Not signed in", "name and password do not fit together")
PROVIDER_REFUSED = ProblemKind("provider-refused", 401, "Not signed in", "what the identity provider said is not proof")
NOT_ALLOWED = ProblemKind("not-allowed", 403, "Not allowed", "the person's role does not hold this")
FORM_OUTDATED = ProblemKind("form-outdated", 403, "Page outdated", "the form was not made for this session")
DOCKS_ONLY = ProblemKind("docks-only", 403, "For docks only", "an enrolled dock may do this, and nobody else")
PASSWORD_FIRST = ProblemKind("password-first", 403, "Choose a password", "the password was set by someone else")
TOO_MANY_TRIES = ProblemKind("too-many-tries", 429, "Too many attempts", "too many wrong attempts to sign in; later")
PROVIDER_AWAY = ProblemKind("provider-away", 503, "Provider away", "the identity provider does not answer; later")

AT_THE_DOOR = (SIGN_IN_REQUIRED, NOT_ALLOWED, PASSWORD_FIRST, DOCKS_ONLY)
"""What the people's door may answer to a call of the API."""

OF_PAGES = (WRONG_SIGN_IN, PROVIDER_REFUSED, FORM_OUTDATED, TOO_MANY_TRIES, PROVIDER_AWAY)
"""What only pages say."""

# --- retention ----------------------------------------------------------------------------------
DELETED = ProblemKind(
    "deleted-by-policy", 410, "Deleted by policy", "the recording was deleted by policy; its receipt stays"
)
ALREADY_RELEASED = ProblemKind("already-released", 409, "Released before", "this hold was released before")
LIST_CHANGED = ProblemKind(
    "list-changed", 409, "List changed", "what was to be confirmed is not what would be deleted now, or it has expired"
)

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
    TLS_REQUIRED,
    CERTIFICATE_REQUIRED,
    CERTIFICATE_UNKNOWN,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_REVOKED,
    NOT_YOURS,
    NOT_FOR_DOCKS,
    TOKEN_UNKNOWN,
    TOKEN_USED,
    TOKEN_EXPIRED,
    TOKEN_OF_OTHER_DOCK,
    DOCK_KNOWN,
    BAD_KEY_REQUEST,
    NO_AUTHORITY,
    *AT_THE_DOOR,
    DELETED,
    ALREADY_RELEASED,
    LIST_CHANGED,
)
