"""From samples to weights: loss, step, optimizer, runs that resume to the bit."""
