"""Files of any kind -> texts, rows and words: the decoder of all readers, which a package has too."""
