"""What nexus does with the registry: who may change it, probes, the platform's own services, Cloud Map."""
