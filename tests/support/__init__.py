"""Fakes that implement production interfaces, shared by several test folders."""
