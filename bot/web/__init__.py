"""What people see in a browser: the chat page (static files) and the source page."""
