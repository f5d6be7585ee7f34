"""What OAuth's endpoints have in common: their errors, and how those are answered."""
