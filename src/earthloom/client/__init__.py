"""The user's side of HTTP: find a server or start an embedded one, ask it. Start at `connect`."""
