"""Real instruments behind labonn.instruments, one file a family; imported when a bench file names it."""
