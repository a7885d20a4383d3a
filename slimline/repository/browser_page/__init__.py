"""The page that `package --browser` adds, with its scripts: no stage runs any of it."""
