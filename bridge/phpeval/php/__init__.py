"""PHP, the language: values, serialize, json_encode, source. Pure: no I/O of any kind."""
