"""The same training in Keras and PyTorch, as their users would write it; ../../requirements.txt has what they need."""
