"""What every stage shares: settings, data, model folders, the training loop, float export."""
