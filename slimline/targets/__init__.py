"""Runtimes that our models are written for, a folder each."""
