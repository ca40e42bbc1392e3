"""Where generations lie and are searched: files beside the service, PostgreSQL, or Milvus."""
