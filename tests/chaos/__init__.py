"""Faults on purpose: `make chaos ROW=name`."""
