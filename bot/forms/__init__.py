"""The forms of `/polar propose`: from an operation's schema to inputs, and from what was typed to a call."""
