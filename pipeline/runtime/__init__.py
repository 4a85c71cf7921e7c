"""What ships inside a package: it encodes raw inputs and runs the exported function, and imports nothing above it."""
