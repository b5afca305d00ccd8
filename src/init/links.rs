//! What connects the supervisor to its workers: a pipe from each, and a connection on which it is asked whether it lives.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;

use super::lines::LineStream;
use super::logring::LineCutter;
use super::supervise::Key;
use crate::ipc::message::{Reply, Request};
use crate::paths::RunDir;

/// The longest answer to a hello or a reload.
pub const MAX_REPLY: usize = 64 * 1024;
/// Reads of one pipe in one turn: a worker that floods its pipe does not keep the others waiting.
const READS_PER_TURN: usize = 16;

/// All of them.
#[derive(Debug, Default)]
pub struct Links(BTreeMap<Key, Link>);

/// What is connected to one worker.
#[derive(Debug, Default)]
struct Link {
    pipe: Option<PipeReader>,
    cutter: LineCutter,
    hello: Option<LineStream>,
}

/// What a descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// What the worker says.
    Pipe,
    /// Its answers to hellos.
    Hello,
}

impl Links {
    /// A worker was started; what is left of its former life is forgotten.
    pub fn begin(&mut self, key: &Key, pipe: PipeReader) {
        self.0.insert(key.clone(), Link { pipe: Some(pipe), ..Link::default() });
    }

    /// A worker ended; its pipe may still hold something, and others may hold its pipe.
    pub fn end(&mut self, key: &Key) {
        if let Some(link) = self.0.get_mut(key) {
            link.hello = None;
        }
    }

    /// What to poll.
    pub fn watched(&self) -> impl Iterator<Item = (&Key, Line, BorrowedFd<'_>, PollFlags)> {
        self.0.iter().flat_map(|(key, link)| {
            let pipe = link.pipe.as_ref().map(|pipe| (key, Line::Pipe, pipe.as_fd(), PollFlags::POLLIN));
            let hello =
                link.hello.as_ref().map(|stream| (key, Line::Hello, stream.as_fd(), stream.interest()));
            pipe.into_iter().chain(hello)
        })
    }

    /// Asks a worker whether it lives; one that cannot be asked is as silent as one that does not answer.
    pub fn ask(&mut self, key: &Key, run_dir: &RunDir) {
        let Some(link) = self.0.get_mut(key) else { return };
        if link.hello.is_none() {
            link.hello = LineStream::connect(&run_dir.socket(key.role), MAX_REPLY).ok();
        }
        if link.hello.as_mut().is_some_and(|stream| stream.send(&Request::Hello).is_err()) {
            link.hello = None;
        }
    }

    /// Whether a worker has answered.
    pub fn answered(&mut self, key: &Key) -> bool {
        let Some(Link { hello: slot @ Some(_), .. }) = self.0.get_mut(key) else { return false };
        let heard = slot.as_mut().map(|stream| stream.flush().and_then(|()| stream.receive()));
        match heard {
            Some(Ok(lines)) => {
                let hello = |line: &Vec<u8>| matches!(serde_json::from_slice(line), Ok(Reply::Hello { .. }));
                lines.iter().any(hello)
            }
            _ => {
                *slot = None;
                false
            }
        }
    }

    /// What a worker has said: severities and lines.
    pub fn said(&mut self, key: &Key) -> Vec<(u8, String)> {
        let mut said = Vec::new();
        let Some(link) = self.0.get_mut(key) else { return said };
        for _ in 0..READS_PER_TURN {
            match read_some(link) {
                Ok(Some(lines)) => said.extend(lines),
                Ok(None) => break,
                Err(_) => {
                    link.pipe = None;
                    said.extend(link.cutter.take());
                    break;
                }
            }
        }
        said
    }
}

/// Lines that are there; `None` when there is nothing more for now, an error at the end of the pipe.
fn read_some(link: &mut Link) -> io::Result<Option<Vec<(u8, String)>>> {
    let Some(pipe) = &mut link.pipe else { return Ok(None) };
    let mut chunk = [0; 4096];
    match pipe.read(&mut chunk) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(n) => Ok(Some(link.cutter.feed(chunk.get(..n).unwrap_or_default()))),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
