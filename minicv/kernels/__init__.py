from .conv import conv2d, conv2d_filter, conv2d_input
