"""The bot: rules, cards, decisions, the worker and the command line."""
