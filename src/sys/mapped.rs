//! A file as memory, which all processes that look at it share, and which goes back whole.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::path::Path;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The bytes of a file that is only ever replaced, never written to in its place.
#[derive(Debug)]
pub struct Mapped(Option<(NonNull<c_void>, NonZeroUsize)>);

impl Mapped {
    /// The file at `path` as it is now; a file that replaces it later changes nothing here.
    ///
    /// # Errors
    /// When it cannot be opened or is no ordinary file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let Some(length) = NonZeroUsize::new(length) else { return Ok(Self(None)) };
        // SAFETY: the kernel chooses a place that nobody uses, and the mapping can only be read.
        let place = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, file, 0) }?;
        Ok(Self(Some((place, length))))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.map_or(&[], |(place, length)| {
            // SAFETY: so many bytes are mapped there until `self` is dropped, and nobody writes to the file.
            unsafe { std::slice::from_raw_parts(place.as_ptr().cast(), length.get()) }
        })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some((place, length)) = self.0.take() {
            // SAFETY: it was mapped so, and nobody holds a reference any more.
            let _ = unsafe { munmap(place, length.get()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_what_it_said_when_another_one_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, next) = (dir.path().join("file"), dir.path().join("next"));
        std::fs::write(&path, "before").unwrap();
        let mapped = Mapped::open(&path).unwrap();
        std::fs::write(&next, "").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(&*mapped, b"before");
        assert_eq!(&*Mapped::open(&path).unwrap(), b"", "an empty file is one, too");
        assert!(Mapped::open(&next).is_err());
        assert!(Mapped::open(dir.path()).is_err(), "a directory is no file");
    }
}
