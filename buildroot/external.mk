include $(sort $(wildcard $(BR2_EXTERNAL_DIRECTOR_PATH)/package/*/*.mk))

# The fragments of board/ apply to tinyconfig, in which everything is off. Buildroot can only name files *_defconfig of the
# kernel as a start; it expands this variable when the kernel is configured, which is after this file was read.
LINUX_KCONFIG_DEFCONFIG = tinyconfig
