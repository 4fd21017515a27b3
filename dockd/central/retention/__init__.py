"""How long footage is kept, who decided so, what holds it, and its deletion from the store when its time is over."""
