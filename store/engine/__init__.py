"""The database engine: dialects, the writer, transactions, migration runs."""
