"""What a CPU gains from: other kernels for the same sums, and the right number of threads."""
