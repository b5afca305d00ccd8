//! A stream socket that never blocks and carries one JSON document a line.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::poll::PollFlags;
use serde::Serialize;
use socket2::{Domain, SockAddr, Socket, Type};

/// Bytes that may wait for a slow reader before it loses its connection.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;

/// One end of a connection.
#[derive(Debug)]
pub struct LineStream {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    longest: usize,
}

impl LineStream {
    /// Takes a connected stream; a line longer than `longest` bytes ends it.
    ///
    /// # Errors
    /// When it cannot be made non-blocking.
    pub fn new(stream: UnixStream, longest: usize) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, input: Vec::new(), output: Vec::new(), longest })
    }

    /// Connects at once or fails; a listener with a full queue is a failure, too.
    ///
    /// # Errors
    /// When nobody listens on `path`.
    pub fn connect(path: &Path, longest: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.connect(&SockAddr::unix(path)?)?;
        Self::new(UnixStream::from(std::os::fd::OwnedFd::from(socket)), longest)
    }

    /// Sends `message` now as far as the peer takes it; the rest by [`Self::flush`].
    ///
    /// # Errors
    /// When the peer is gone, or reads too slowly.
    pub fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.output, message)?;
        self.output.push(b'\n');
        if self.output.len() > MAX_OUTPUT {
            return Err(io::Error::new(ErrorKind::TimedOut, "the peer does not read"));
        }
        self.flush()
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there and gives the whole lines; an error is also the orderly end of the peer.
    ///
    /// # Errors
    /// When the peer is gone or its line is too long; lines that came before are lost with it.
    pub fn receive(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.input.extend(chunk.iter().take(n)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        let mut lines = Vec::new();
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.input.drain(..=end).collect();
            line.pop();
            lines.push(line);
        }
        if self.input.len() > self.longest {
            return Err(io::Error::new(ErrorKind::InvalidData, "line too long"));
        }
        Ok(lines)
    }

    /// What to poll for.
    #[must_use]
    pub fn interest(&self) -> PollFlags {
        if self.output.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT }
    }
}

impl AsFd for LineStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
