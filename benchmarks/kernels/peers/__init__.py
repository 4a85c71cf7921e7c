"""The same layers in PyTorch; ../../requirements.txt has what they need."""
