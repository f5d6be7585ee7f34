"""What both sides of OAuth have in common: errors and how they are answered, and the proof of PKCE."""
