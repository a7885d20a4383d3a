"""Networks: the registry, pretrained weights, a classifier with all that belongs to it, tracing."""
