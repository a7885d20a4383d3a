"""Rewrites of an ONNX graph, a file each; `order` says which come when, and what each needs."""
