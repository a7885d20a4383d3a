"""Git and DVC: what was recorded, other commits, experiments, what is shipped."""
