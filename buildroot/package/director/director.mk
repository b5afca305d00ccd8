################################################################################
#
# director
#
################################################################################

DIRECTOR_VERSION = 0.1.0
DIRECTOR_SITE = $(BR2_EXTERNAL_DIRECTOR_PATH)/..
DIRECTOR_SITE_METHOD = local
DIRECTOR_LICENSE = MIT or Apache-2.0
DIRECTOR_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
DIRECTOR_INSTALL_IMAGES = YES
DIRECTOR_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude target --exclude output
DIRECTOR_CARGO_BUILD_OPTS = --package director

# Buildroot's own settings take the place of [profile.release]: say it again
DIRECTOR_CARGO_ENV = \
	CARGO_PROFILE_RELEASE_OPT_LEVEL=s \
	CARGO_PROFILE_RELEASE_LTO=fat \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
	CARGO_PROFILE_RELEASE_PANIC=unwind \
	CARGO_PROFILE_RELEASE_STRIP=symbols

# Cargo builds with --offline, and Buildroot fetches crates when it downloads a package: a local one is never downloaded.
define DIRECTOR_VENDOR
	cd $(@D) && { grep -qs vendored-sources .cargo/config.toml || \
		$(HOST_MAKE_ENV) CARGO_HOME=$(BR_CARGO_HOME) \
			cargo vendor --locked >> .cargo/config.toml; }
endef
DIRECTOR_PRE_BUILD_HOOKS += DIRECTOR_VENDOR

DIRECTOR_BINARY = $(@D)/target/$(RUSTC_TARGET_NAME)/release/director

define DIRECTOR_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(DIRECTOR_BINARY) $(TARGET_DIR)/sbin/director
	ln -sf director $(TARGET_DIR)/sbin/init
endef

define DIRECTOR_INSTALL_IMAGES_CMDS
	$(INSTALL) -D -m 0755 $(DIRECTOR_BINARY) $(BINARIES_DIR)/director
endef

$(eval $(cargo-package))
