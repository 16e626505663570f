"""What the published site needs when it is built: `python -m toolkit.publish book`."""
