"""What a user writes: shop files and their queries."""
