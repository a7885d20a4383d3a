"""LiteRT: a .tflite for Android, iOS and boards, int8 with exactly the trained ranges."""
