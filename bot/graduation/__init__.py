"""Trust in kinds of case: gain, measure and loss. Pure: time, chance and history are arguments."""
