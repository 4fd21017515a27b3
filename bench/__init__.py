"""Measurements: they print tables and write JSON, and judge nothing in a timed test."""
