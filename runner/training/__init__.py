"""From a task and a model to trained weights: batches, the compiled step, the loop, evaluation."""
