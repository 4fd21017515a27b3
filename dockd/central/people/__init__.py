"""People at the centre: accounts, sign-in, sessions, tokens for scripts, and the door that asks for them.

Knows who somebody is and what that person may do; must not know footage, docks or custody.
"""
