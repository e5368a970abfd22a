"""What runs the network: one port, and an adapter per runtime."""
