"""Learning features before a task, without labels."""
