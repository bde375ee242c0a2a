"""Face detection (MTCNN) and alignment to the 112×112 template."""
