"""The protocols that operators run: theirs to read, to copy and to change."""
