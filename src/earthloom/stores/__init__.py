"""Chains by key. It knows no graph's meaning. Start at `protocol`."""
