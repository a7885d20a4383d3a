"""What can be known in a minute: whether a network, or this machine, will do."""
