"""Sign-in with accounts at other providers: Google, GitHub, and whoever speaks OpenID Connect."""
