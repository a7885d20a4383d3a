"""THE training loop, what feeds it, and the two stages that are nothing but training."""
