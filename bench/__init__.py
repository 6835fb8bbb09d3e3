"""Measurements of the compressor on the machine at hand; each module says how to run it."""
