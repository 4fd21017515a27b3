"""Every table of the centre, whichever module owns it: what migrations and tests compare a database with.

Each area keeps its tables in its own `tables` module, all on one METADATA; a module that is not named here is not
seen by those who look at the schema as a whole.
"""

from __future__ import annotations

from dockd.central import centre_facts, enrolment_tables, tables
from dockd.central.custody import tables as custody_tables
from dockd.central.fleet import tables as fleet_tables
from dockd.central.people import tables as people_tables
from dockd.central.retention import tables as retention_tables

METADATA = tables.METADATA
AREAS = (tables, centre_facts, enrolment_tables, people_tables, fleet_tables, retention_tables, custody_tables)
"""The modules that own tables."""
