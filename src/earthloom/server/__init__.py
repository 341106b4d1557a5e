"""HTTP routes over the engine; no arithmetic. Start at `app`."""
