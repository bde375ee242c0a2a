"""What both training commands share: networks, losses, callbacks, the fit loop."""
