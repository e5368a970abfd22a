"""`melalog …`: thin commands over the other packages."""
