"""Chains as data: graph, canonical form, key, collections, the fluent notation. It evaluates nothing.

Start at `graph`.
"""
