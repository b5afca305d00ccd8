//! The socket of the supervisor: many clients, none of which can make it wait.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::lines::LineStream;
use crate::ipc::message::{Reply, Request};

/// Clients at a time; one more is turned away.
const MAX_CLIENTS: usize = 64;
/// The longest request.
const MAX_REQUEST: usize = 64 * 1024;

/// The listening socket and whoever is connected.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    clients: BTreeMap<u64, LineStream>,
    next: u64,
}

impl Server {
    /// Listens on `path`, mode 0600; a stale socket is replaced.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, clients: BTreeMap::new(), next: 0 })
    }

    /// Who is connected; a number is never used twice.
    pub fn clients(&self) -> impl Iterator<Item = (&u64, &LineStream)> {
        self.clients.iter()
    }

    /// Takes everybody who waits at the door.
    pub fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < MAX_CLIENTS
                && let Ok(client) = LineStream::new(stream, MAX_REQUEST)
            {
                self.clients.insert(self.next, client);
                self.next += 1;
            }
        }
    }

    /// What `client` asks, or why that is no request; a client that is gone is forgotten.
    pub fn receive(&mut self, client: u64) -> Vec<Result<Request, String>> {
        let Some(stream) = self.clients.get_mut(&client) else { return Vec::new() };
        if let Ok(lines) = stream.flush().and_then(|()| stream.receive()) {
            let parse = |line: &Vec<u8>| {
                serde_json::from_slice(line).map_err(|error| format!("read request: {error}"))
            };
            lines.iter().map(parse).collect()
        } else {
            self.clients.remove(&client);
            Vec::new()
        }
    }

    /// Answers `client`, if it is still there.
    pub fn reply(&mut self, client: u64, reply: &Reply) {
        if self.clients.get_mut(&client).is_some_and(|stream| stream.send(reply).is_err()) {
            self.clients.remove(&client);
        }
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::client::ask;
    use crate::paths::RunDir;
    use crate::role::Role;
    use std::time::Duration;

    #[test]
    fn a_client_is_answered_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        let mut server = Server::bind(&run.socket(Role::Init)).unwrap();
        let asking = std::thread::spawn(move || {
            ask(&run, Role::Init, &Request::Restart { role: Role::Lvs }, Duration::from_secs(5))
        });
        let mut asked = Vec::new();
        while !asking.is_finished() {
            server.accept();
            for client in server.clients.keys().copied().collect::<Vec<_>>() {
                for request in server.receive(client) {
                    asked.push(request);
                    server.reply(client, &Reply::Error { message: "no".to_owned() });
                }
            }
        }
        assert_eq!(asked, [Ok(Request::Restart { role: Role::Lvs })]);
        assert_eq!(asking.join().unwrap().unwrap_err().to_string(), "no");
        server.receive(0);
        assert!(server.clients.is_empty());
    }
}
