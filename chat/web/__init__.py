"""What answers at the port: the page, the API, and what guards them."""
