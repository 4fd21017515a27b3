"""Frozen values: the words of the field as types. No I/O, no decisions, no clock."""
