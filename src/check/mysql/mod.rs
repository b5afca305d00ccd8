//! The MySQL check: the server's greeting; with a log-in also that, and a query that must return a row
//! (MySQL internals manual, client/server protocol; MariaDB speaks the same).

mod auth;
mod packet;

use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::Stream;
use super::tls::{self, Clients};
use super::{Outcome, Reason, Step, Target, frame, reason, socket};
use crate::config::model::{Database, Login};
use auth::{More, answer, more};
use packet::{Greeting, Refusal, first, flag, ssl_request};

/// `ER_ACCESS_DENIED_ERROR` and its kin: what nobody without a password is told.
const DENIED: [u16; 3] = [1044, 1045, 1698];

/// Asks `target` as `database` has it.
pub async fn probe(target: &Target, clients: &Clients, database: &Database) -> Outcome {
    ask(target, clients, database).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target, clients: &Clients, database: &Database) -> Step<Outcome> {
    let mut stream = socket::connect(target).await?;
    let (number, packet) = receive(&mut stream).await?;
    let greeting = match first(&packet) {
        Some(&packet::ERROR) => return Err(refused("greeting", &packet)),
        _ => Greeting::parse(&packet).ok_or_else(|| not_mysql(&packet))?,
    };
    let flags = flag::wanted(&greeting, database);
    let mut number = number.wrapping_add(1);
    let (mut stream, notice) = match &database.tls {
        Some(tls) => {
            if greeting.flags & flag::SSL == 0 {
                return Err(Outcome::Failure(Reason::Borrowed("server offers no TLS")));
            }
            send(&mut stream, &mut number, &ssl_request(flags)).await?;
            let secured = tls::handshake(stream, tls, None, clients).await?;
            (Stream::Tls(secured.stream), secured.notice)
        }
        None => (Stream::Plain(stream), None),
    };
    let reason = converse(&mut stream, &greeting, flags, number, database).await?;
    if database.login.is_some() {
        frame::farewell(&mut stream, &packet::command(packet::QUIT, b"")).await;
    }
    Ok(tls::success(reason, notice))
}

async fn converse(
    stream: &mut Stream,
    greeting: &Greeting<'_>,
    flags: u32,
    mut number: u8,
    database: &Database,
) -> Step<Reason> {
    let encrypted = matches!(stream, Stream::Tls(_));
    let version = greeting.server();
    // A client that ends within the handshake is counted, and at `max_connect_errors` the server shuts this box out. So who
    // has no log-in is denied in order, as nobody without a password.
    let nobody = Login { user: String::new(), password: String::new() };
    let login = database.login.as_ref().unwrap_or(&nobody);
    let proof = answer(greeting.method, login, &greeting.nonce, encrypted)?;
    let response = packet::response(flags, login, &proof, database.database.as_deref(), greeting.method);
    send(stream, &mut number, &response).await?;
    let entered = log_in(stream, number, login, encrypted).await?;
    match (entered, &database.login) {
        (_, None) => return Ok(Reason::Owned(version)),
        (Err(packet), Some(_)) => return Err(refused("log-in", &packet)),
        (Ok(()), Some(_)) => {}
    }
    let Some(query) = &database.query else {
        return Ok(Reason::Owned(format!("logged in to {version}")));
    };
    frame::write(stream, &packet::command(packet::QUERY, query.as_bytes())).await?;
    row(stream).await?;
    Ok(Reason::Borrowed("query returned a row"))
}

/// Goes through what the server wants to know beyond the first answer. The packet by which it refuses is no error: whoever
/// has no log-in is content with it.
async fn log_in(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut number: u8,
    login: &Login,
    encrypted: bool,
) -> Step<Result<(), Vec<u8>>> {
    // Another method once, and one more step of that: no server asks more.
    for _ in 0..4 {
        let (received, packet) = receive(stream).await?;
        number = received.wrapping_add(1).max(number);
        match first(&packet) {
            Some(&packet::OK) => return Ok(Ok(())),
            Some(&packet::ERROR) => {
                let denied = Refusal::parse(&packet).is_some_and(|refusal| DENIED.contains(&refusal.code));
                if login.user.is_empty() && !denied {
                    return Err(refused("log-in", &packet));
                }
                return Ok(Err(packet));
            }
            Some(&packet::SWITCH) => {
                let (method, nonce) = packet::switch(&packet).ok_or_else(|| not_mysql(&packet))?;
                send(stream, &mut number, &answer(method, login, nonce, encrypted)?).await?;
            }
            Some(&packet::MORE) => match more(&packet, login, encrypted)? {
                More::Wait => {}
                More::Say(bytes) => send(stream, &mut number, &bytes).await?,
            },
            _ => return Err(not_mysql(&packet)),
        }
    }
    Err(Outcome::Failure(Reason::Borrowed("log-in: the server asks without end")))
}

/// Reads the answer to a query up to its first row.
async fn row(stream: &mut (impl AsyncRead + Unpin)) -> Step<()> {
    let (_, packet) = receive(stream).await?;
    match first(&packet) {
        Some(&packet::ERROR) => return Err(refused("query", &packet)),
        Some(&packet::OK | &packet::LOCAL_FILE) | None => {
            return Err(Outcome::Failure(Reason::Borrowed("query returns no rows at all")));
        }
        _ => {}
    }
    // Definitions of columns, an end, rows, an end.
    let mut ends = 0;
    loop {
        let header = header(stream).await?;
        if header.length > frame::LONGEST && ends == 1 {
            // However long a row is, it is one.
            return Ok(());
        }
        let packet = body(stream, &header).await?;
        match first(&packet) {
            Some(&packet::ERROR) => return Err(refused("query", &packet)),
            Some(&packet::END) if packet.len() < 9 => ends += 1,
            _ if ends == 1 => return Ok(()),
            _ => {}
        }
        if ends == 2 {
            return Err(Outcome::Failure(Reason::Borrowed("query returned no row")));
        }
    }
}

/// The next packet, with its number.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Step<(u8, Vec<u8>)> {
    let header = header(stream).await?;
    Ok((header.number, body(stream, &header).await?))
}

/// What each packet begins with.
struct Header {
    length: usize,
    number: u8,
    bytes: Vec<u8>,
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Step<Header> {
    let bytes = frame::read(stream, 4).await?;
    let &[a, b, c, number] = bytes.as_slice() else { return Err(not_mysql(&bytes)) };
    let length = usize::try_from(u32::from_le_bytes([a, b, c, 0])).unwrap_or(usize::MAX);
    Ok(Header { length, number, bytes })
}

async fn body(stream: &mut (impl AsyncRead + Unpin), header: &Header) -> Step<Vec<u8>> {
    if header.length > frame::LONGEST {
        return Err(not_mysql(&header.bytes));
    }
    frame::read(stream, header.length).await
}

/// Sends a packet with this number, which goes up.
async fn send(stream: &mut (impl AsyncWrite + Unpin), number: &mut u8, payload: &[u8]) -> Step<()> {
    frame::write(stream, &packet::frame(*number, payload)).await?;
    *number = number.wrapping_add(1);
    Ok(())
}

fn refused(what: &str, packet: &[u8]) -> Outcome {
    let Some(refusal) = Refusal::parse(packet) else { return not_mysql(packet) };
    let said = reason::told(refusal.message);
    Outcome::Failure(Reason::Owned(format!("{what}: error {}: {said}", refusal.code)))
}

fn not_mysql(packet: &[u8]) -> Outcome {
    Outcome::Failure(Reason::Owned(format!("not MySQL: {}", reason::quote(packet))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_is_one_however_long_it_is() {
        let end = [packet::END, 0, 0, 2, 0];
        let mut said: Vec<u8> = Vec::new();
        for (number, payload) in (1..).zip([&[1][..], b"the column", &end]) {
            said.extend(packet::frame(number, payload));
        }
        let length = u32::try_from(frame::LONGEST + 1).unwrap().to_le_bytes();
        let long = [length[0], length[1], length[2], 4];
        assert!(row(&mut [said.as_slice(), &long].concat().as_slice()).await.is_ok());
        assert!(row(&mut long.as_slice()).await.is_err(), "before the columns it is no row");
    }
}
