"""Mutated input, led by coverage, for what reads text that others wrote: `make fuzz TARGET=reader`.

A target is a module with `SEEDS` (bytes), `WORDS` (what mutations insert) and `one(data)`, which lets nothing
out but what is a fault. libFuzzer (through atheris) ends a run on an exception, on an input that takes longer
than 10 s and on more than 1 GB of memory, and keeps that input beside its corpus.
"""
