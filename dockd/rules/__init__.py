"""Pure decisions: what a lawyer will ask about, readable and testable on its own. No I/O, no clock."""
