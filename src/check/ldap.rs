//! The LDAP check (RFC 4511): a bind, anonymous or by name and password, and a search that must find its base object.

use tokio::io::{AsyncRead, AsyncWrite};

use super::frame::{self, Bytes};
use super::stream::Stream;
use super::tls::{self, Clients};
use super::{Outcome, Reason, Step, Target, reason, socket};
use crate::config::model::{Login, Tls};

/// Tags of BER (X.690 section 8.1.2).
mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const OCTETS: u8 = 0x04;
    pub const ENUMERATED: u8 = 0x0a;
    pub const SEQUENCE: u8 = 0x30;
    /// The choice `simple` of a bind.
    pub const SIMPLE: u8 = 0x80;
    /// The filter `present`.
    pub const PRESENT: u8 = 0x87;
}

/// Operations, as tags of their own (RFC 4511 section 4).
mod operation {
    pub const BIND_REQUEST: u8 = 0x60;
    pub const BIND_RESPONSE: u8 = 0x61;
    pub const UNBIND_REQUEST: u8 = 0x42;
    pub const SEARCH_REQUEST: u8 = 0x63;
    pub const SEARCH_ENTRY: u8 = 0x64;
    pub const SEARCH_DONE: u8 = 0x65;
    pub const SEARCH_REFERENCE: u8 = 0x73;
    pub const EXTENDED_RESPONSE: u8 = 0x78;
}

/// Asks `target`: a bind as `login`, then a search for `base`.
pub async fn probe(
    target: &Target,
    clients: &Clients,
    login: Option<&Login>,
    base: Option<&str>,
    tls: Option<&Tls>,
) -> Outcome {
    ask(target, clients, login, base, tls).await.unwrap_or_else(|ended| ended)
}

async fn ask(
    target: &Target,
    clients: &Clients,
    login: Option<&Login>,
    base: Option<&str>,
    tls: Option<&Tls>,
) -> Step<Outcome> {
    if login.is_some_and(|login| login.password.is_empty()) {
        // Servers take it for an anonymous bind (RFC 4513 section 5.1.2), which would show nothing.
        return Err(Outcome::Inconclusive(Reason::Borrowed("cannot ask: the password is empty")));
    }
    let stream = socket::connect(target).await?;
    let (mut stream, notice) = match tls {
        Some(tls) => {
            let secured = tls::handshake(stream, tls, None, clients).await?;
            (Stream::Tls(secured.stream), secured.notice)
        }
        None => (Stream::Plain(stream), None),
    };
    let reason = converse(&mut stream, login, base).await?;
    frame::farewell(&mut stream, &message(3, operation::UNBIND_REQUEST, &[])).await;
    Ok(tls::success(reason, notice))
}

async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    login: Option<&Login>,
    base: Option<&str>,
) -> Step<Reason> {
    frame::write(stream, &bind(login)).await?;
    let answer = receive(stream).await?;
    result(&answer, 1, operation::BIND_RESPONSE, "bind")?;
    let Some(base) = base else { return Ok(Reason::Borrowed("bound")) };
    frame::write(stream, &search(base)).await?;
    let mut entries = 0_u32;
    loop {
        let answer = receive(stream).await?;
        match Answer::parse(&answer) {
            Some(Answer { id: 2, operation: operation::SEARCH_ENTRY, .. }) => entries += 1,
            Some(Answer { id: 2, operation: operation::SEARCH_REFERENCE, .. }) => {}
            _ => {
                result(&answer, 2, operation::SEARCH_DONE, "search")?;
                break;
            }
        }
    }
    match entries {
        1 => Ok(Reason::Owned(format!("found {}", reason::told(base.as_bytes())))),
        0 => Err(Outcome::Failure(Reason::Owned(format!("found no {}", reason::told(base.as_bytes()))))),
        more => Err(Outcome::Failure(Reason::Owned(format!("found {more} entries, wanted one")))),
    }
}

/// The next message, without its outermost tag and length.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Step<Vec<u8>> {
    let start = frame::read(stream, 2).await?;
    let &[tag::SEQUENCE, first] = start.as_slice() else { return Err(not_ldap(&start)) };
    let mut length = usize::from(first);
    if first > 0x80 {
        let more = frame::read(stream, usize::from(first & 0x7f).min(8)).await?;
        length = more
            .iter()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))
            .unwrap_or(usize::MAX);
    }
    frame::read(stream, length).await
}

/// Success, if `answer` is what ends the operation `id` with result 0.
fn result(answer: &[u8], id: u32, wanted: u8, what: &str) -> Step<()> {
    let Some(answer) = Answer::parse(answer) else { return Err(not_ldap(answer)) };
    // A notice of disconnection has the identifier 0 (RFC 4511 section 4.4.1).
    let notice = answer.operation == operation::EXTENDED_RESPONSE && answer.id == 0;
    if !notice && (answer.id, answer.operation) != (id, wanted) {
        return Err(Outcome::Failure(Reason::Owned(format!("{what}: answer to another question"))));
    }
    let Some((code, said)) = answer.result() else { return Err(not_ldap(answer.body)) };
    if code == 0 && !notice {
        return Ok(());
    }
    let said = if said.is_empty() { String::new() } else { format!(": {}", reason::told(said)) };
    Err(Outcome::Failure(Reason::Owned(format!("{what}: {}{said}", name(code)))))
}

fn not_ldap(bytes: &[u8]) -> Outcome {
    Outcome::Failure(Reason::Owned(format!("not LDAP: {}", reason::quote(bytes))))
}

#[derive(Debug)]
struct Answer<'a> {
    id: u32,
    operation: u8,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    fn parse(message: &'a [u8]) -> Option<Self> {
        let mut message = Bytes(message);
        let id = number(element(&mut message, tag::INTEGER)?)?;
        let operation = *message.0.first()?;
        Some(Self { id, operation, body: element(&mut message, operation)? })
    }

    /// Code and diagnostic message of an `LDAPResult`.
    fn result(&self) -> Option<(u32, &'a [u8])> {
        let mut body = Bytes(self.body);
        let code = number(element(&mut body, tag::ENUMERATED)?)?;
        element(&mut body, tag::OCTETS)?;
        Some((code, element(&mut body, tag::OCTETS)?))
    }
}

/// The contents of the next element, which must have this tag.
fn element<'a>(bytes: &mut Bytes<'a>, tag: u8) -> Option<&'a [u8]> {
    if bytes.byte()? != tag {
        return None;
    }
    let length = match bytes.byte()? {
        short @ 0..=0x7f => usize::from(short),
        long => {
            let more = bytes.take(usize::from(long & 0x7f))?;
            let add = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add(usize::from(*byte));
            more.iter().try_fold(0, add)?
        }
    };
    bytes.take(length)
}

fn number(contents: &[u8]) -> Option<u32> {
    contents.iter().try_fold(0_u32, |sum, byte| sum.checked_mul(256)?.checked_add(u32::from(*byte)))
}

fn bind(login: Option<&Login>) -> Vec<u8> {
    let (user, password) = login.map_or(("", ""), |login| (&login.user, &login.password));
    message(
        1,
        operation::BIND_REQUEST,
        &[
            encode(tag::INTEGER, &[3]),
            encode(tag::OCTETS, user.as_bytes()),
            encode(tag::SIMPLE, password.as_bytes()),
        ],
    )
}

/// For the base object alone, whatever its class, without any attribute ("1.1").
fn search(base: &str) -> Vec<u8> {
    message(
        2,
        operation::SEARCH_REQUEST,
        &[
            encode(tag::OCTETS, base.as_bytes()),
            encode(tag::ENUMERATED, &[0]),
            encode(tag::ENUMERATED, &[0]),
            encode(tag::INTEGER, &[2]),
            encode(tag::INTEGER, &[0]),
            encode(tag::BOOLEAN, &[0xff]),
            encode(tag::PRESENT, b"objectClass"),
            encode(tag::SEQUENCE, &encode(tag::OCTETS, b"1.1")),
        ],
    )
}

fn message(id: u8, operation: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let body = [encode(tag::INTEGER, &[id]), encode(operation, &parts.concat())].concat();
    encode(tag::SEQUENCE, &body)
}

/// An element with its length in the shortest form that fits.
fn encode(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(short @ 0..=0x7f) => element.push(short),
        _ => {
            let length = contents.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            element.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            element.extend(digits);
        }
    }
    element.extend_from_slice(contents);
    element
}

/// Result codes that a check meets, by their names (RFC 4511 section 4.1.9).
fn name(code: u32) -> String {
    match code {
        1 => "operationsError",
        2 => "protocolError",
        8 => "strongerAuthRequired",
        10 => "referral",
        13 => "confidentialityRequired",
        32 => "noSuchObject",
        34 => "invalidDNSyntax",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        other => return format!("result {other}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(step: Step<()>) -> String {
        match step {
            Err(Outcome::Failure(why)) => why.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn questions_as_rfc_4511_encodes_them() {
        assert_eq!(bind(None), b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00");
        let login = Login { user: "cn=a".into(), password: "b".into() };
        assert_eq!(bind(Some(&login)), b"\x30\x11\x02\x01\x01\x60\x0c\x02\x01\x03\x04\x04cn=a\x80\x01b");
        let wanted =
            b"\x30\x2e\x02\x01\x02\x63\x29\x04\x04dc=a\x0a\x01\x00\x0a\x01\x00\x02\x01\x02\x02\x01\x00\
                       \x01\x01\xff\x87\x0bobjectClass\x30\x05\x04\x031.1";
        assert_eq!(search("dc=a"), wanted);
        assert_eq!(encode(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(encode(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn results_are_named_and_quoted() {
        let answer = |code: u8, said: &str| {
            let parts = [encode(10, &[code]), encode(4, b""), encode(4, said.as_bytes())];
            [encode(2, &[1]), encode(operation::BIND_RESPONSE, &parts.concat())].concat()
        };
        result(&answer(0, ""), 1, operation::BIND_RESPONSE, "bind").unwrap();
        let of = |answer: &[u8]| failed(result(answer, 1, operation::BIND_RESPONSE, "bind"));
        assert_eq!(of(&answer(49, "")), "bind: invalidCredentials");
        assert_eq!(of(&answer(90, "no")), "bind: result 90: \"no\"");
        assert_eq!(of(b"HTTP/1.1"), "not LDAP: \"HTTP/1.1\"");
        let other = failed(result(&answer(0, ""), 2, operation::SEARCH_DONE, "search"));
        assert_eq!(other, "search: answer to another question");
    }

    #[test]
    fn any_bytes_are_judged() {
        let parts = [encode(10, &[0]), encode(4, b"dc=example"), encode(4, b"fine")];
        let good = [encode(2, &[1]), encode(operation::BIND_RESPONSE, &parts.concat())].concat();
        crate::check::fuzz::mutations(&good, |bytes| {
            let _ = result(bytes, 1, operation::BIND_RESPONSE, "bind");
        });
    }
}
