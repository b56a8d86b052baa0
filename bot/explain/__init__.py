"""One decision as a document, and its check."""
