"""Trust in kinds of cases: earned, measured, and lost. Pure: time, chance and history are arguments."""
