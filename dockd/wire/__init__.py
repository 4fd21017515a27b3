"""Messages that dock and centre exchange, and the status that pages and tools show. Versioned by path (`/api/v1`)."""
