"""Every sentence, message, modal and chart that a person sees: data in, blocks out. Pure."""
