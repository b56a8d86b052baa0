"""Polar's data as words, and the sentence and facts of each event."""
