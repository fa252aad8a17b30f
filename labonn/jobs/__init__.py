"""What happens by itself: when a bench is due, the one-shot that sees to it, the daemon that calls it, who is told."""
