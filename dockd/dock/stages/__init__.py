"""What is done with a docked camera, one module per verb.

Stages return values; they never call each other, the journal or the network.
"""
