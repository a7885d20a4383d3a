"""Pruning: methods say what can go, `widths` how much of it goes, `rounds` cuts and recovers."""
