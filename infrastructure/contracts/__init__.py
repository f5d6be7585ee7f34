"""The contracts of the services: `events/protos`, and the Python that is generated from them."""
