"""ExecuTorch: a .pte for phones and boards, int8 by XNNPACK, whose kernels run on Arm and x86."""
