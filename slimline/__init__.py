"""The library under the stage scripts: everything that more than one line of `stages/` needs."""
