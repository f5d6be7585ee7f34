"""The AWS control plane on one machine: an emulator, and the template created in it as a stack."""
