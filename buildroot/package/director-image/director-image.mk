################################################################################
#
# director-image
#
################################################################################

DIRECTOR_IMAGE_VERSION = 0.1.0
DIRECTOR_IMAGE_SITE = $(BR2_EXTERNAL_DIRECTOR_PATH)/..
DIRECTOR_IMAGE_SITE_METHOD = local
DIRECTOR_IMAGE_LICENSE = MIT or Apache-2.0
DIRECTOR_IMAGE_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
DIRECTOR_IMAGE_INSTALL_IMAGES = YES
DIRECTOR_IMAGE_INSTALL_TARGET = NO
DIRECTOR_IMAGE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude target --exclude output
HOST_DIRECTOR_IMAGE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude target --exclude output

DIRECTOR_IMAGE_DEPENDENCIES = \
	director grub2 linux \
	host-cryptsetup host-director-image host-dosfstools host-e2fsprogs \
	host-genimage host-mtools host-squashfs host-zstd

# What the image is made of, under the names that --prebuilt expects. GRUB's boot sector is not among Buildroot's images.
define DIRECTOR_IMAGE_INSTALL_IMAGES_CMDS
	$(INSTALL) -D -m 0644 $(GRUB2_DIR)/build-i386-pc/grub-core/boot.img $(BINARIES_DIR)/boot.img
	$(INSTALL) -D -m 0644 $(LINUX_DIR)/.config $(BINARIES_DIR)/config
	$(HOST_MAKE_ENV) $(HOST_DIR)/bin/director-image build \
		--prebuilt $(BINARIES_DIR) --output $(BINARIES_DIR)
endef

define HOST_DIRECTOR_IMAGE_VENDOR
	cd $(@D) && { grep -qs vendored-sources .cargo/config.toml || \
		$(HOST_MAKE_ENV) CARGO_HOME=$(BR_CARGO_HOME) \
			cargo vendor --locked >> .cargo/config.toml; }
endef
HOST_DIRECTOR_IMAGE_PRE_BUILD_HOOKS += HOST_DIRECTOR_IMAGE_VENDOR
HOST_DIRECTOR_IMAGE_CARGO_BUILD_OPTS = --package director-image

define HOST_DIRECTOR_IMAGE_INSTALL_CMDS
	$(INSTALL) -D -m 0755 $(@D)/target/release/director-image $(HOST_DIR)/bin/director-image
endef

$(eval $(generic-package))
$(eval $(host-cargo-package))
