"""Revisions of the dock's journal (SQLite)."""
