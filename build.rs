//! How the appliance's binary is linked: small. Nothing here changes what it does.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=board/common/link/no-unwind.ld");
    let variable = |name| env::var(name).unwrap_or_default();
    if variable("CARGO_CFG_TARGET_ENV") != "musl" || variable("PROFILE") != "release" {
        return;
    }
    let root = variable("CARGO_MANIFEST_DIR");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{root}/board/common/link/no-unwind.ld");
    // relocations of a position-independent executable in a hundredth of the space
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
