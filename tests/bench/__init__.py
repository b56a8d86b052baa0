"""The benchmark behind `make bench`: measures the real app as a process of its own; never a timed test."""
