"""One file per revision; a package so that it is installed."""
