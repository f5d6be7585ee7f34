"""Files that are no text: Avro, Parquet and Arrow. Their libraries are in the analytics layer."""
