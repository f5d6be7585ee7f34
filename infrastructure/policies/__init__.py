"""The platform's policy: Rego, its data, its test cases, and the gates it passes before it decides."""
