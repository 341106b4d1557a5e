"""Imports every family of processes once, so that the registry is full."""

from earthloom.processes import arrays, colour, compare, cube, load, logic, math, terrain, udf  # noqa: F401
