"""What synthetic worlds share: captions, words, shapes drawn and found again."""
