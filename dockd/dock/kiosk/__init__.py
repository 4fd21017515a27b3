"""The dock's own page and local API: what staff at the station see, and the few things they may do.

Knows `DockStatus` and three actions; never the journal, a session or a camera. Begins at `app.build_kiosk`.
"""
