//! How the appliance's binary is linked: small. Nothing here changes what it does.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    if let Some(folder) = linker_of_rust() {
        println!("cargo::rustc-link-arg-bins=-B{}", folder.display());
        println!("cargo::rustc-link-arg-bins=-fuse-ld=lld");
        // functions that are the same, byte for byte, become one
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// The linker that comes with Rust, under the name that gcc looks for; without it the binary is a little larger.
fn linker_of_rust() -> Option<PathBuf> {
    let out = Command::new(env::var_os("RUSTC")?).args(["--print", "sysroot"]).output().ok()?;
    let host = env::var("HOST").ok()?;
    let sysroot = String::from_utf8(out.stdout).ok()?;
    let folder = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/gcc-ld");
    folder.join("ld.lld").exists().then_some(folder)
}
