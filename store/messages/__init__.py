"""Cards, bundles, the outbox and who has seen them."""
