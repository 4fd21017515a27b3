"""The dock host: one camera, one task; the journal is the only meeting point."""
