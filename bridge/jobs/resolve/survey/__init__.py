"""What `bridge events` says of a class without a job: which rung serves it, and why."""
