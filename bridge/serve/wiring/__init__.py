"""Builds the parts of both halves from the settings: each part gets the few values that it needs.

Nothing is connected, evaluated or started by it.
"""
