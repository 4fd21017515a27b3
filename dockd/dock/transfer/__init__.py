"""Mechanics that the stages share for moving bytes: buffers, threads, a walk over a source, a staged file.

No stage lives here and no decision about a recording: stages must not import each other, so what two
of them need is one floor below.
"""
