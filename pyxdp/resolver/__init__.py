"""From resources to what one node enforces."""
