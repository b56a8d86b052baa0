"""Polar's data as words: facts, summaries, money."""
