"""Suites for parts that others write. Each is a class of tests to inherit from. Start at `stores`."""
