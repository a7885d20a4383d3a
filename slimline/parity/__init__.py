"""Whether two forms of a model give the same answers, and at which layer they part."""
