"""The notebook: the map and its controls. Start at `map`."""
