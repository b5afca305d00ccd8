//! The PostgreSQL check: the server begins a log-in; with a log-in also that, and a query that must return a row
//! (PostgreSQL manual, chapter "Frontend/Backend Protocol", version 3.0).

mod message;
mod scram;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::stream::Stream;
use super::tls::{self, Clients};
use super::{Outcome, Reason, Step, Target, frame, reason, socket};
use crate::config::model::{Database, Login, Tls};
use message::{Demand, Notice, tag};
use scram::Scram;

/// Who asks without a log-in; as a rule nobody has this name, which is as good.
const NOBODY: &str = "director";

/// Asks `target` as `database` has it.
pub async fn probe(target: &Target, clients: &Clients, database: &Database) -> Outcome {
    ask(target, clients, database).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target, clients: &Clients, database: &Database) -> Step<Outcome> {
    let stream = socket::connect(target).await?;
    let (mut stream, notice) = match &database.tls {
        Some(tls) => upgrade(stream, tls, clients).await?,
        None => (Stream::Plain(stream), None),
    };
    let reason = converse(&mut stream, database).await?;
    frame::farewell(&mut stream, &message::encode(tag::TERMINATE, b"")).await;
    Ok(tls::success(reason, notice))
}

async fn upgrade(
    mut stream: TcpStream,
    tls: &Tls,
    clients: &Clients,
) -> Step<(Stream, Option<super::Notice>)> {
    frame::write(&mut stream, &message::ssl_request()).await?;
    // One byte and no more: what comes before the handshake is not protected by it (CVE-2021-23222).
    match stream.read_u8().await.map_err(frame::ended)? {
        b'S' => {
            let secured = tls::handshake(stream, tls, None, clients).await?;
            Ok((Stream::Tls(secured.stream), secured.notice))
        }
        b'N' => Err(Outcome::Failure(Reason::Borrowed("server offers no TLS"))),
        other => Err(not_postgres(&[other])),
    }
}

async fn converse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), database: &Database) -> Step<Reason> {
    let user = database.login.as_ref().map_or(NOBODY, |login| &login.user);
    frame::write(stream, &message::startup(user, database.database.as_deref())).await?;
    let Some(login) = &database.login else { return greeting(stream).await };
    log_in(stream, login).await?;
    let version = ready(stream).await?;
    let Some(query) = &database.query else {
        return Ok(Reason::Owned(format!("logged in to PostgreSQL {version}")));
    };
    frame::write(stream, &message::encode(tag::QUERY, &[query.as_bytes(), &[0]].concat())).await?;
    row(stream).await?;
    Ok(Reason::Borrowed("query returned a row"))
}

/// Whether the server begins a log-in: asking for proof or letting in is as good as denying. Not so when it starts or stops,
/// or has no connection left.
async fn greeting(stream: &mut (impl AsyncRead + Unpin)) -> Step<Reason> {
    let (kind, body) = receive(stream).await?;
    match kind {
        tag::AUTHENTICATION => Ok(Reason::Borrowed("PostgreSQL accepts log-ins")),
        tag::ERROR => match Notice::parse(&body) {
            Some(notice) if notice.denies() => Ok(Reason::Borrowed("PostgreSQL accepts log-ins")),
            Some(notice) => Err(refused("greeting", &notice)),
            None => Err(not_postgres(&body)),
        },
        _ => Err(not_postgres(&body)),
    }
}

async fn log_in(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), login: &Login) -> Step<()> {
    let mut scram = None;
    loop {
        let body = expect(stream, tag::AUTHENTICATION, "log-in").await?;
        let demand = Demand::parse(&body).ok_or_else(|| not_postgres(&body))?;
        let fault = |why: String| Outcome::Failure(Reason::Owned(format!("log-in: {why}")));
        let answer = match demand {
            Demand::Nothing => {
                return match scram {
                    Some(Scram { proven: false, .. }) => {
                        Err(fault("the server does not prove that it knows the password".to_owned()))
                    }
                    _ => Ok(()),
                };
            }
            Demand::Clear => message::password(login.password.as_bytes()),
            Demand::Md5(salt) => message::password(message::md5_proof(login, salt).as_bytes()),
            Demand::Sasl(methods) if methods.contains(&scram::METHOD.as_bytes()) => {
                let begun = scram.insert(Scram::begin(login)?);
                message::sasl_begin(scram::METHOD, &begun.first())
            }
            Demand::Sasl(_) => {
                return Err(fault("the server wants no method that this check knows".to_owned()));
            }
            Demand::SaslContinue(said) => match &mut scram {
                Some(scram) => message::encode(tag::PASSWORD, &scram.answer(said).map_err(fault)?),
                None => return Err(not_postgres(&body)),
            },
            Demand::SaslFinal(said) => {
                match &mut scram {
                    Some(scram) => scram.verify(said).map_err(fault)?,
                    None => return Err(not_postgres(&body)),
                }
                continue;
            }
            Demand::Other(number) => {
                return Err(fault(format!("the server wants method {number}, which this check cannot")));
            }
        };
        frame::write(stream, &answer).await?;
    }
}

/// Waits until the server takes queries, and returns its version.
async fn ready(stream: &mut (impl AsyncRead + Unpin)) -> Step<String> {
    let mut version = String::new();
    loop {
        let (kind, body) = receive(stream).await?;
        match kind {
            tag::READY => return Ok(version),
            tag::PARAMETER => {
                if let Some(told) = message::parameter(&body, b"server_version") {
                    version = String::from_utf8_lossy(told).chars().take(20).collect();
                }
            }
            tag::ERROR => return Err(error("log-in", &body)),
            tag::KEY | tag::NOTICE | tag::VERSION => {}
            _ => return Err(not_postgres(&body)),
        }
    }
}

/// Reads the answer to a query up to its first row.
async fn row(stream: &mut (impl AsyncRead + Unpin)) -> Step<()> {
    loop {
        let (kind, body) = receive(stream).await?;
        match kind {
            tag::ROW => return Ok(()),
            tag::ERROR => return Err(error("query", &body)),
            tag::READY => return Err(Outcome::Failure(Reason::Borrowed("query returned no row"))),
            tag::COPY_IN | tag::COPY_BOTH => {
                return Err(Outcome::Failure(Reason::Borrowed("query wants data from this box")));
            }
            _ => {}
        }
    }
}

async fn expect(stream: &mut (impl AsyncRead + Unpin), wanted: u8, what: &str) -> Step<Vec<u8>> {
    loop {
        let (kind, body) = receive(stream).await?;
        match kind {
            kind if kind == wanted => return Ok(body),
            tag::ERROR => return Err(error(what, &body)),
            tag::NOTICE | tag::VERSION => {}
            _ => return Err(not_postgres(&body)),
        }
    }
}

/// The next message: its type, and what follows on its length.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Step<(u8, Vec<u8>)> {
    let header = frame::read(stream, 5).await?;
    let &[kind, a, b, c, d] = header.as_slice() else { return Err(not_postgres(&header)) };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let fits = length.checked_sub(4).filter(|length| *length <= frame::LONGEST);
    match (fits, kind) {
        (Some(length), _) => Ok((kind, frame::read(stream, length).await?)),
        // However long a row is, it is one.
        (None, tag::ROW) => Ok((kind, Vec::new())),
        (None, _) => Err(not_postgres(&header)),
    }
}

fn error(what: &str, body: &[u8]) -> Outcome {
    Notice::parse(body).map_or_else(|| not_postgres(body), |notice| refused(what, &notice))
}

fn refused(what: &str, notice: &Notice) -> Outcome {
    let said = reason::told(notice.message);
    let state = String::from_utf8_lossy(notice.state);
    Outcome::Failure(Reason::Owned(format!("{what}: error {state}: {said}")))
}

fn not_postgres(bytes: &[u8]) -> Outcome {
    Outcome::Failure(Reason::Owned(format!("not PostgreSQL: {}", reason::quote(bytes))))
}
