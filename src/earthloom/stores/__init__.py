"""Chains by key: in SQLite, Redis or PostgreSQL. It knows no graph's meaning. Start at `protocol`, then `open`."""
