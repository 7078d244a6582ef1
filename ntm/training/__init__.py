"""What only training knows: noise, clipping of gradients, dropout, and what grows on the way."""
