"""labonn: runs a laboratory's hybrid optical neural networks."""
