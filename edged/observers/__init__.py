"""What looks at the hall and never touches it: metrics, pages, logs."""
