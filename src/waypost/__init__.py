"""Waypost tells every business system about its shipments the moment something happens."""

__version__ = "0.1.0"
