"""The rungs of the ladder: mapping, framework, native, php. One file a rung."""
