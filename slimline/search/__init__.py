"""The search for settings: a goal in `params.yaml`, trials as DVC experiments, records in git."""
