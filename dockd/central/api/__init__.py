"""The centre's HTTP API: one list of routes, from which both the server and its description are made."""
