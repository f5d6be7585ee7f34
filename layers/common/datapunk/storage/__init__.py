"""Objects in the platform's bucket: written part by part, put and read by links, read by ranges."""
