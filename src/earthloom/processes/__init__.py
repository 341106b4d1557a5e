"""The vocabulary: decorated numpy functions, one file a family. It knows no graph. Start at `define`."""
