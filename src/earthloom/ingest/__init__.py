"""Files and STAC documents into items: one door a file. Start at `stac`."""
