"""Model folders: written, read, and described by themselves."""
