"""Cases of every op, one file per family of `minicv.autograd`; see `minicv.testing.registry`."""
