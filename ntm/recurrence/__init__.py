"""The loop over time: plain for every backend, and fast on TensorFlow."""
