//! The RADIUS check: a log-in by PAP (RFC 2865), or without one a Status-Server (RFC 5997). Both carry a
//! Message-Authenticator (RFC 3579 section 3.2), and only an answer that knows the secret counts.

use md5::{Digest, Md5};

use super::frame::Bytes;
use super::{Outcome, Reason, Step, Target, datagram, random, reason};
use crate::config::model::Login;

/// Codes (RFC 2865 section 3, RFC 5997 section 3).
mod code {
    pub const ACCESS_REQUEST: u8 = 1;
    pub const ACCESS_ACCEPT: u8 = 2;
    pub const ACCESS_REJECT: u8 = 3;
    pub const ACCOUNTING_RESPONSE: u8 = 5;
    pub const ACCESS_CHALLENGE: u8 = 11;
    pub const STATUS_SERVER: u8 = 12;
}

/// Attributes (RFC 2865 section 5, RFC 2869 section 5.14).
mod attribute {
    pub const USER_NAME: u8 = 1;
    pub const USER_PASSWORD: u8 = 2;
    pub const REPLY_MESSAGE: u8 = 18;
    pub const NAS_IDENTIFIER: u8 = 32;
    pub const MESSAGE_AUTHENTICATOR: u8 = 80;
}

/// Code, identifier, length, authenticator.
const HEADER: usize = 20;
/// Largest packet (RFC 2865 section 3).
const LARGEST: usize = 4096;
/// Longest password that can be hidden (RFC 2865 section 5.2).
const LONGEST_PASSWORD: usize = 128;
/// Longest value of an attribute.
const LONGEST_VALUE: usize = 253;

type Hash = [u8; 16];

/// A question, and what is needed to know its answer.
#[derive(Debug)]
struct Request<'a> {
    id: u8,
    authenticator: Hash,
    secret: &'a [u8],
    login: Option<&'a Login>,
}

/// Logs in as `login`, or asks the server whether it is there.
pub async fn probe(target: &Target, login: Option<&Login>, secret: &str) -> Outcome {
    ask(target, login, secret.as_bytes()).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target, login: Option<&Login>, secret: &[u8]) -> Step<Outcome> {
    let [id] = random::bytes()?;
    let request = Request { id, authenticator: random::bytes()?, secret, login };
    let packet = request
        .encode()
        .ok_or(Outcome::Inconclusive(Reason::Borrowed("cannot ask: user name or password is too long")))?;
    let socket = datagram::udp(target)?;
    socket.send(&packet).await?;
    Ok(request.judge(&datagram::receive(&socket).await?))
}

impl Request<'_> {
    /// `None`: something is too long.
    fn encode(&self) -> Option<Vec<u8>> {
        let code = if self.login.is_some() { code::ACCESS_REQUEST } else { code::STATUS_SERVER };
        let mut packet = vec![code, self.id, 0, 0];
        packet.extend_from_slice(&self.authenticator);
        // First, as servers want it since CVE-2024-3596.
        packet.extend_from_slice(&[attribute::MESSAGE_AUTHENTICATOR, 18]);
        packet.extend_from_slice(&[0; 16]);
        if let Some(login) = self.login {
            add(&mut packet, attribute::USER_NAME, login.user.as_bytes())?;
            add(&mut packet, attribute::USER_PASSWORD, &self.hide(login.password.as_bytes())?)?;
        }
        add(&mut packet, attribute::NAS_IDENTIFIER, b"director")?;
        let length = u16::try_from(packet.len()).ok()?;
        packet.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
        let proof = hmac(self.secret, &[&packet]);
        packet.get_mut(HEADER + 2..HEADER + 18)?.copy_from_slice(&proof);
        Some(packet)
    }

    /// Each block is covered by the hash of the secret and what was sent before it (RFC 2865 section 5.2).
    fn hide(&self, password: &[u8]) -> Option<Vec<u8>> {
        if password.len() > LONGEST_PASSWORD {
            return None;
        }
        let mut padded = password.to_vec();
        padded.resize(password.len().max(1).next_multiple_of(16), 0);
        let (mut hidden, mut before) = (Vec::new(), self.authenticator);
        for block in padded.chunks(16) {
            let cover = md5(&[self.secret, &before]);
            for ((to, plain), cover) in before.iter_mut().zip(block).zip(cover) {
                *to = plain ^ cover;
            }
            hidden.extend_from_slice(&before);
        }
        Some(hidden)
    }

    fn judge(&self, datagram: &[u8]) -> Outcome {
        let Some(answer) = Answer::parse(datagram) else {
            return Outcome::Failure(Reason::Owned(format!("not RADIUS: {}", reason::quote(datagram))));
        };
        if answer.id != self.id {
            return Outcome::Failure(Reason::Borrowed("answer with another identifier than the question"));
        }
        if !self.proves(&answer) {
            return Outcome::Failure(Reason::Borrowed("answer is not signed with the secret"));
        }
        let said = match answer.find(attribute::REPLY_MESSAGE) {
            Some(message) => format!(": {}", reason::told(message)),
            None => String::new(),
        };
        match (answer.code, self.login) {
            (code::ACCESS_ACCEPT, Some(_)) => Outcome::Success(Reason::Owned(format!("accepted{said}"))),
            (code::ACCESS_ACCEPT | code::ACCOUNTING_RESPONSE, None) => {
                Outcome::Success(Reason::Borrowed("answered"))
            }
            (code::ACCESS_REJECT, _) => Outcome::Failure(Reason::Owned(format!("rejected{said}"))),
            (code::ACCESS_CHALLENGE, _) => {
                Outcome::Failure(Reason::Owned(format!("wants more than a password{said}")))
            }
            (other, _) => Outcome::Failure(Reason::Owned(format!("answer with code {other}"))),
        }
    }

    /// Whether an answer was made with the secret for this very question: Response Authenticator (RFC 2865 section 3) and,
    /// where there is one, Message-Authenticator.
    fn proves(&self, answer: &Answer) -> bool {
        let signed = [answer.start, &self.authenticator, answer.attributes, self.secret];
        if md5(&signed) != answer.authenticator {
            return false;
        }
        let Some(place) = answer.place(attribute::MESSAGE_AUTHENTICATOR) else { return true };
        let (before, rest) = answer.attributes.split_at(place.min(answer.attributes.len()));
        let Some((proof, after)) = rest.split_first_chunk::<16>() else { return false };
        let proven = [answer.start, &self.authenticator, before, &[0; 16], after];
        hmac(self.secret, &proven) == *proof
    }
}

/// A packet whose attributes fit.
struct Answer<'a> {
    code: u8,
    id: u8,
    start: &'a [u8],
    authenticator: Hash,
    attributes: &'a [u8],
}

impl<'a> Answer<'a> {
    fn parse(datagram: &'a [u8]) -> Option<Self> {
        let start = datagram.get(..4)?;
        let &[code, id, high, low] = start else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER..=LARGEST).contains(&length) {
            return None;
        }
        // What is behind the length is padding (RFC 2865 section 3).
        let mut rest = Bytes(datagram.get(4..length)?);
        let answer = Self { code, id, start, authenticator: rest.array()?, attributes: rest.0 };
        while !rest.0.is_empty() {
            let [_, length] = rest.array()?;
            rest.take(usize::from(length).checked_sub(2)?)?;
        }
        Some(answer)
    }

    /// Where the value of an attribute begins among the attributes.
    fn place(&self, wanted: u8) -> Option<usize> {
        let mut at = 0;
        while let Some(&[kind, length]) = self.attributes.get(at..at + 2) {
            if kind == wanted {
                return Some(at + 2);
            }
            at += usize::from(length).max(2);
        }
        None
    }

    fn find(&self, wanted: u8) -> Option<&'a [u8]> {
        let place = self.place(wanted)?;
        let length = usize::from(*self.attributes.get(place.checked_sub(1)?)?);
        self.attributes.get(place..place + length.checked_sub(2)?)
    }
}

fn add(packet: &mut Vec<u8>, kind: u8, value: &[u8]) -> Option<()> {
    if value.len() > LONGEST_VALUE {
        return None;
    }
    packet.extend_from_slice(&[kind, u8::try_from(value.len() + 2).ok()?]);
    packet.extend_from_slice(value);
    Some(())
}

fn md5(parts: &[&[u8]]) -> Hash {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// HMAC-MD5 (RFC 2104).
fn hmac(key: &[u8], parts: &[&[u8]]) -> Hash {
    let hashed;
    let key = if key.len() > 64 {
        hashed = md5(&[key]);
        &hashed
    } else {
        key
    };
    let mut pads = ([0x36_u8; 64], [0x5c_u8; 64]);
    for ((inner, outer), byte) in pads.0.iter_mut().zip(&mut pads.1).zip(key) {
        *inner ^= byte;
        *outer ^= byte;
    }
    let parts: Vec<&[u8]> = [pads.0.as_slice()].into_iter().chain(parts.iter().copied()).collect();
    md5(&[&pads.1, &md5(&parts)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn login() -> Login {
        Login { user: "nemo".into(), password: "arctangent".into() }
    }

    /// RFC 2865 section 7.1.
    fn rfc(login: &Login) -> Request<'_> {
        let authenticator = hex("0f403f9473978057bd83d5cb98f4227a").try_into().unwrap();
        Request { id: 0, authenticator, secret: b"xyzzy5461", login: Some(login) }
    }

    #[test]
    fn the_example_of_rfc_2865() {
        let login = login();
        let request = rfc(&login);
        let packet = request.encode().unwrap();
        assert_eq!(packet[..4], [1, 0, 0, 20 + 18 + 6 + 18 + 10]);
        assert_eq!(packet[38..44], *b"\x01\x06nemo");
        assert_eq!(packet[46..62], hex("0dbe708d93d413ce3196e43f782a0aee"));
        let accept = hex("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103");
        assert_eq!(request.judge(&accept), Outcome::Success("accepted".into()));
        let mut forged = accept.clone();
        forged[25] = 2;
        let unsigned = Outcome::Failure("answer is not signed with the secret".into());
        assert_eq!(request.judge(&forged), unsigned);
        let other = Request { secret: b"xyzzy5462", ..rfc(&login) };
        assert_eq!(other.judge(&accept), unsigned);
        let other = Request { id: 1, ..rfc(&login) };
        assert_eq!(
            other.judge(&accept),
            Outcome::Failure("answer with another identifier than the question".into())
        );
    }

    /// RFC 5997 section 6.1.
    #[test]
    fn the_example_of_rfc_5997() {
        let authenticator: Hash = hex("8a54f4686fb394c52866e302185d0623").try_into().unwrap();
        let mut packet = hex("0cda00268a54f4686fb394c52866e302185d0623501200000000000000000000000000000000");
        let proof = hmac(b"xyzzy5461", &[&packet]);
        packet[22..].copy_from_slice(&proof);
        assert_eq!(packet[22..], hex("5a665e2e1e8411f3e243822097c84fa3"));
        let request = Request { id: 0xda, authenticator, secret: b"xyzzy5461", login: None };
        let answer = hex("02da0014ef0d552a4bf2d693ec2b6fe8b5411d66");
        assert_eq!(request.judge(&answer), Outcome::Success("answered".into()));
    }

    #[test]
    fn a_rejection_is_quoted_and_a_wrong_message_authenticator_refused() {
        let login = login();
        let request = rfc(&login);
        let answer = |proof: Option<Hash>| {
            let mut attributes = b"\x12\x0ago away!".to_vec();
            attributes.extend_from_slice(&[80, 18]);
            attributes.extend_from_slice(&[0; 16]);
            let start = [3, 0, 0, 20 + 28];
            let right = hmac(request.secret, &[&start, &request.authenticator, &attributes]);
            attributes[12..].copy_from_slice(&proof.unwrap_or(right));
            let sign = md5(&[&start, &request.authenticator, &attributes, request.secret]);
            [start.as_slice(), &sign, &attributes].concat()
        };
        assert_eq!(request.judge(&answer(None)), Outcome::Failure("rejected: \"go away!\"".into()));
        assert_eq!(
            request.judge(&answer(Some([1; 16]))),
            Outcome::Failure("answer is not signed with the secret".into())
        );
    }

    #[test]
    fn long_passwords_are_hidden_in_blocks_and_longer_ones_refused() {
        let mut login = login();
        login.password = "a".repeat(128);
        assert_eq!(rfc(&login).encode().unwrap().len(), 20 + 18 + 6 + 130 + 10);
        login.password.push('a');
        assert!(rfc(&login).encode().is_none());
    }

    #[test]
    fn any_bytes_are_judged() {
        let login = login();
        let good = hex("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103");
        crate::check::fuzz::mutations(&good, |bytes| {
            let _ = rfc(&login).judge(bytes);
        });
    }
}
