"""One file a command. Start at `main`."""
