"""The live path over a real WebSocket on loopback, with the simulator in a process of its own."""
