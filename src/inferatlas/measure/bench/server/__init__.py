"""The other side: which engine answers, what its own metrics say, and the machine that all of it runs on."""
