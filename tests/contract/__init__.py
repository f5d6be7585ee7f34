"""Stock clients and documents against a platform, which ends with this folder."""
