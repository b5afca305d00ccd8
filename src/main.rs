//! The multi-call binary: by the name it is called (`/sbin/init` as PID 1, `poweroff`, …) or by its first argument.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use director::ctl;
use director::sys::heap::Heap;

/// That of musl takes twice the time.
#[global_allocator]
static ALLOCATOR: Heap = Heap::new();

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    let called = Path::new(&called).file_name().map(OsString::from).unwrap_or_default();
    match ctl::main(&called, args.collect()) {
        Ok(code) => code,
        Err(error) => {
            ctl::complain(&format!("director: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
