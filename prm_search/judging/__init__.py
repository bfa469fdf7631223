"""Judges: how a critique is asked for, and how a verdict is read from it."""
