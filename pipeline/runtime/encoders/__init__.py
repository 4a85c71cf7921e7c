"""Raw inputs -> arrays: images, texts, words; the same code in preprocess and in use."""
