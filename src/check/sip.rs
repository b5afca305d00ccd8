//! The SIP check (RFC 3261 section 11): `OPTIONS`, answered with 200, over UDP or TCP.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::talk::Talk;
use super::tls::Clients;
use super::{Outcome, Reason, Step, Target, datagram, random, reason};
use crate::config::model::MailTls;

/// T1 and T2 (RFC 3261 section 17.1.2.2): when a datagram is said again, first and at most.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// Asks once.
pub async fn probe(target: &Target, user: &str, tcp: bool) -> Outcome {
    let asked = if tcp { by_tcp(target, user).await } else { by_udp(target, user).await };
    asked.unwrap_or_else(|ended| ended)
}

async fn by_udp(target: &Target, user: &str) -> Step<Outcome> {
    let socket = datagram::udp(target)?;
    let question = Question::new(user, target.address, socket.local_addr()?)?;
    let message = question.message("UDP");
    let mut patience = T1;
    loop {
        socket.send(message.as_bytes()).await?;
        if let Ok(answer) = timeout(patience, hear(&socket, &question)).await {
            return answer;
        }
        patience = (patience * 2).min(T2);
    }
}

async fn hear(socket: &UdpSocket, question: &Question) -> Step<Outcome> {
    loop {
        let answer = datagram::receive(socket).await?;
        let lines: Vec<&[u8]> = answer.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
        if let Some(outcome) = question.judge(&lines) {
            return Ok(outcome);
        }
    }
}

async fn by_tcp(target: &Target, user: &str) -> Step<Outcome> {
    let mut talk = Talk::open(target, &Clients::default(), &MailTls::Off).await?;
    let question = Question::new(user, target.address, talk.local()?)?;
    talk.send("OPTIONS", &question.message("TCP")).await?;
    loop {
        let mut lines = vec![talk.line().await?];
        while lines.last().is_some_and(|line| !line.is_empty()) {
            lines.push(talk.line().await?);
        }
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        if let Some(outcome) = question.judge(&lines) {
            return Ok(outcome);
        }
    }
}

struct Question {
    user: String,
    server: SocketAddr,
    own: SocketAddr,
    random: String,
}

impl Question {
    fn new(user: &str, server: SocketAddr, own: SocketAddr) -> Step<Self> {
        let random = u64::from_be_bytes(random::bytes()?);
        Ok(Self { user: user.to_owned(), server, own, random: format!("{random:016x}") })
    }

    fn message(&self, transport: &str) -> String {
        let Self { user, server, own, random } = self;
        let host = match own {
            SocketAddr::V4(own) => own.ip().to_string(),
            SocketAddr::V6(own) => format!("[{}]", own.ip()),
        };
        format!(
            "OPTIONS sip:{user}@{server} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {own};branch=z9hG4bK{random};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:{user}@{host}>;tag={random}\r\n\
             To: <sip:{user}@{server}>\r\n\
             Call-ID: {random}@{host}\r\n\
             CSeq: 1 OPTIONS\r\n\
             Contact: <sip:{user}@{own}>\r\n\
             Accept: application/sdp\r\n\
             User-Agent: director\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }

    /// What an answer means; `None` if it is no final one, or to somebody else's question.
    fn judge(&self, lines: &[&[u8]]) -> Option<Outcome> {
        let first = lines.first().copied().unwrap_or_default();
        let mut words = first.splitn(3, |byte| *byte == b' ');
        if words.next() != Some(b"SIP/2.0") {
            let got = reason::quote(first);
            return Some(Outcome::Failure(Reason::Owned(format!(
                "not SIP: got {got}, wanted \"SIP/2.0 200\""
            ))));
        }
        let code = words.next().unwrap_or_default();
        if code.starts_with(b"1") || !lines.iter().any(|line| self.is_our_call(line)) {
            return None;
        }
        let got = reason::quote(first);
        Some(match code {
            b"200" => Outcome::Success(Reason::Owned(format!("got {got}"))),
            _ => Outcome::Failure(Reason::Owned(format!("got {got}, wanted 200"))),
        })
    }

    fn is_our_call(&self, line: &[u8]) -> bool {
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else {
            return false;
        };
        let name = name.trim();
        // `i` is its compact form (RFC 3261 section 7.3.3).
        (name.eq_ignore_ascii_case("Call-ID") || name.eq_ignore_ascii_case("i"))
            && value.trim().split('@').next() == Some(self.random.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            user: "ping".into(),
            server: "[2001:db8::1]:5060".parse().unwrap(),
            own: "[2001:db8::2]:40000".parse().unwrap(),
            random: "00ff".into(),
        }
    }

    #[test]
    fn the_question_has_all_that_must_be_in_it() {
        let message = question().message("UDP");
        assert!(message.starts_with("OPTIONS sip:ping@[2001:db8::1]:5060 SIP/2.0\r\n"), "{message}");
        assert!(message.contains("\r\nVia: SIP/2.0/UDP [2001:db8::2]:40000;branch=z9hG4bK00ff;rport\r\n"));
        assert!(message.contains("\r\nCall-ID: 00ff@[2001:db8::2]\r\n") && message.ends_with("\r\n\r\n"));
    }

    #[test]
    fn only_a_final_answer_to_our_call_counts() {
        let judge = |text: &str| question().judge(&text.split("\r\n").map(str::as_bytes).collect::<Vec<_>>());
        let call = "\r\ni: 00ff@[2001:db8::2]\r\n";
        assert_eq!(
            judge(&format!("SIP/2.0 200 OK{call}")),
            Some(Outcome::Success("got \"SIP/2.0 200 OK\"".into()))
        );
        assert_eq!(
            judge(&format!("SIP/2.0 404 Not Found{call}")),
            Some(Outcome::Failure("got \"SIP/2.0 404 Not Found\", wanted 200".into()))
        );
        assert_eq!(judge(&format!("SIP/2.0 100 Trying{call}")), None);
        assert_eq!(judge("SIP/2.0 200 OK\r\nCall-ID: 00fe@x\r\n"), None);
        assert_eq!(
            judge("HTTP/1.1 400 Bad Request"),
            Some(Outcome::Failure(
                "not SIP: got \"HTTP/1.1 400 Bad Request\", wanted \"SIP/2.0 200\"".into()
            ))
        );
    }
}
