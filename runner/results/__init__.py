"""Many runs side by side: the table of a sweep, comparisons over seeds."""
