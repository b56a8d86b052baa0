"""Kinds of case, labels, caps and the gate's queries."""
