"""Platforms of their own, driven as users do; those that tests share end with this folder."""
