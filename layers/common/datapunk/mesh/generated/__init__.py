"""Generated from `events/protos` by `make contracts`; not edited by hand."""
