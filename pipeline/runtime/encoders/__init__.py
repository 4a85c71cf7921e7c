"""Raw inputs -> arrays: images, texts, words. Preprocessing and packages run this same code."""
