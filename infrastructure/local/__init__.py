"""The platform on one machine: services, control plane, data plane and event sources."""
