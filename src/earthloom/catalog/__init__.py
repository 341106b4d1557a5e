"""Items: collections and STAC items by time, place and property. It opens no raster. Start at `protocol`."""
