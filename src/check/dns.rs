//! The DNS check (RFC 1035): a question over UDP, again over TCP where the answer was cut short, or over TCP at once.

use std::io;
use std::str::FromStr;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::AllRecordData;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::zone_form::same;
use super::{Outcome, Reason, Step, Target, datagram, random, reason, socket};

/// Most answers that a reason repeats.
const MOST_SHOWN: usize = 4;

/// What is asked, and what must be answered.
#[derive(Debug)]
pub struct Question<'a> {
    name: Name<Vec<u8>>,
    record: Rtype,
    expect: &'a [String],
    id: u16,
}

impl<'a> Question<'a> {
    /// The question for the records `record` (a mnemonic, or `TYPE65`) of `name`; `expect` as the check has it.
    ///
    /// # Errors
    /// In words: what is wrong with name or type.
    pub fn new(name: &str, record: &str, expect: &'a [String], id: u16) -> Result<Self, String> {
        let parsed =
            Name::from_str(name).map_err(|error| format!("{name:?} is not a domain name: {error}"))?;
        let record = Rtype::from_str(record).map_err(|_| format!("{record:?} is not a type of record"))?;
        Ok(Self { name: parsed, record, expect, id })
    }

    /// The message that asks (RFC 1035 section 4.1), recursion desired.
    ///
    /// # Errors
    /// It does not fit into a message; no name is so long.
    pub fn message(&self) -> Result<Vec<u8>, String> {
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(self.id);
        message.header_mut().set_rd(true);
        let mut question = message.question();
        question.push((&self.name, self.record)).map_err(|error| error.to_string())?;
        Ok(question.finish())
    }

    /// What `message` means; `None`: it is cut short (TC), and to be asked for again by TCP.
    #[must_use]
    pub fn judge(&self, message: &[u8]) -> Option<Outcome> {
        let answers = match self.answers(message) {
            Ok(Some(answers)) => answers,
            Ok(None) => return None,
            Err(why) => return Some(Outcome::Failure(Reason::Owned(why))),
        };
        let shown = list(&answers);
        if self.expect.is_empty() {
            return Some(Outcome::Success(Reason::Owned(format!("answered {shown}"))));
        }
        let found = answers.iter().find(|answer| self.expect.iter().any(|wanted| same(answer, wanted)));
        Some(match found {
            Some(answer) => Outcome::Success(Reason::Owned(format!("answered {answer}"))),
            None => Outcome::Failure(Reason::Owned(format!(
                "answered {shown}, wanted {}",
                self.expect.join(" or ")
            ))),
        })
    }

    /// The records of the answer in the form of a zone file, `None` when it is cut short.
    fn answers(&self, message: &[u8]) -> Result<Option<Vec<String>>, String> {
        let message =
            Message::from_octets(message).map_err(|_| "not DNS: shorter than a header".to_owned())?;
        let header = message.header();
        if !header.qr() {
            return Err("not DNS: a question came back, not an answer".to_owned());
        }
        if header.id() != self.id {
            return Err("answer with another id than the question".to_owned());
        }
        // A server that cannot read the question need not repeat it.
        let asked = message.sole_question().ok();
        let echoed = asked.is_some_and(|asked| asked.qname() == &self.name && asked.qtype() == self.record);
        if header.rcode() != Rcode::NOERROR {
            return Err(format!("{} for {} {}", header.rcode(), self.name, self.record));
        }
        if !echoed {
            return Err(format!("answer to another question than {} {}", self.name, self.record));
        }
        if header.tc() {
            return Ok(None);
        }
        let unreadable = |error: domain::base::wire::ParseError| format!("answer is malformed: {error}");
        let mut answers = Vec::new();
        for record in message.answer().map_err(unreadable)? {
            let record = record.map_err(unreadable)?;
            if record.rtype() == self.record || self.record == Rtype::ANY {
                let record = record.to_any_record::<AllRecordData<_, _>>().map_err(unreadable)?;
                answers.push(record.data().to_string());
            }
        }
        Ok(Some(answers))
    }
}

/// Asks the target for the records `record` of `name`.
pub async fn probe(target: &Target, name: &str, record: &str, expect: &[String], tcp: bool) -> Outcome {
    let id = match random::bytes() {
        Ok(id) => u16::from_be_bytes(id),
        Err(error) => return reason::outcome(&error),
    };
    let question = match Question::new(name, record, expect, id) {
        Ok(question) => question,
        Err(why) => return Outcome::Failure(Reason::Owned(format!("cannot ask: {why}"))),
    };
    let message = match question.message() {
        Ok(message) => message,
        Err(why) => return Outcome::Failure(Reason::Owned(format!("cannot ask: {why}"))),
    };
    if !tcp {
        match by_udp(target, &message).await {
            Ok(answer) => match question.judge(&answer) {
                Some(outcome) => return outcome,
                None => log::debug!("answer is cut short, asking by TCP: server={}", target.address),
            },
            Err(ended) => return ended,
        }
    }
    let stream = match socket::connect(target).await {
        Ok(stream) => stream,
        Err(ended) => return ended,
    };
    match by_tcp(stream, &message).await {
        Ok(answer) => question
            .judge(&answer)
            .unwrap_or(Outcome::Failure(Reason::Borrowed("answer is cut short even over TCP"))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Outcome::Failure(Reason::Borrowed("connection closed without an answer"))
        }
        Err(error) => reason::outcome(&error),
    }
}

/// The records of type `record` that the server at `target` has for `name`, each in the form of a zone file. No end in time:
/// that is for the caller.
///
/// # Errors
/// In words, the name of the server's refusal (RFC 1035 section 4.1.1, `NXDOMAIN`) at their beginning.
pub async fn records(target: &Target, name: &str, record: &str) -> Result<Vec<String>, String> {
    let why = |ended: Outcome| match ended {
        Outcome::Failure(why) | Outcome::Success(why) => why.into_owned(),
        Outcome::Warning(notice) => notice.reason.into_owned(),
        _ => "cannot be asked".to_owned(),
    };
    let id = random::bytes().map_err(|error| error.to_string())?;
    let question = Question::new(name, record, &[], u16::from_be_bytes(id))?;
    let message = question.message()?;
    let answer = by_udp(target, &message).await.map_err(why)?;
    if let Some(records) = question.answers(&answer)? {
        return Ok(records);
    }
    let stream = socket::connect(target).await.map_err(why)?;
    let answer = by_tcp(stream, &message).await.map_err(|error| error.to_string())?;
    question.answers(&answer)?.ok_or_else(|| "answer is cut short even over TCP".to_owned())
}

async fn by_udp(target: &Target, message: &[u8]) -> Step<Vec<u8>> {
    let socket = datagram::udp(target)?;
    socket.send(message).await?;
    Ok(datagram::receive(&socket).await?)
}

/// Each message has its length before it (RFC 1035 section 4.2.2).
async fn by_tcp(mut stream: TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn list(answers: &[String]) -> String {
    if answers.is_empty() {
        return "without a record".to_owned();
    }
    let more = answers.len().saturating_sub(MOST_SHOWN);
    let shown: Vec<&str> = answers.iter().take(MOST_SHOWN).map(|answer| shorten(answer)).collect();
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// A key or a text may fill a whole message: of each record the first 100 bytes, at a border of characters.
fn shorten(answer: &str) -> &str {
    answer.get(..answer.floor_char_boundary(100)).unwrap_or(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(record: &str, expect: &'static [String]) -> Question<'static> {
        Question::new("www.example.com", record, expect, 0x1234).unwrap()
    }

    /// An answer with header flags, the question's name and type, and records as (type, data), each named by a pointer.
    fn answer(flags: u16, asked: &str, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question(asked, &[]).message().unwrap();
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        for (record, data) in records {
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&record.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    fn failure(outcome: Option<Outcome>) -> String {
        match outcome {
            Some(Outcome::Failure(why)) => why.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_question_is_as_rfc_1035_has_it() {
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01";
        assert_eq!(question("A", &[]).message().unwrap(), expected);
        assert_eq!(question("TYPE65", &[]).record, Rtype::HTTPS);
        assert!(Question::new("a..b", "A", &[], 1).is_err());
        assert!(Question::new("a", "NOSUCH", &[], 1).is_err());
    }

    #[test]
    fn records_are_told_in_zone_file_form() {
        let told = |kind, number, data: &[u8]| match question(kind, &[]).judge(&answer(
            0x8180,
            kind,
            &[(number, data)],
        )) {
            Some(Outcome::Success(why)) => why.into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(told("A", 1, &[192, 0, 2, 1]), "answered 192.0.2.1");
        assert_eq!(told("MX", 15, b"\0\x0a\x04mail\xc0\x10"), "answered 10 mail.example.com.");
        assert_eq!(told("TXT", 16, b"\x05a \"b\""), "answered \"a \\\"b\\\"\"");
        assert_eq!(told("TYPE65280", 65280, &[1, 2]), "answered \\# 2 01 02");
        let none = question("A", &[]).judge(&answer(0x8180, "A", &[]));
        assert_eq!(none, Some(Outcome::Success("answered without a record".into())));
    }

    #[test]
    fn one_of_the_answers_must_be_one_of_the_wanted() {
        let wanted: &'static [String] = Box::leak(Box::new(["192.0.2.2".to_owned(), "192.0.2.3".to_owned()]));
        let records = [(1, [192, 0, 2, 1].as_slice()), (1, &[192, 0, 2, 2])];
        let good = question("A", wanted).judge(&answer(0x8180, "A", &records));
        assert_eq!(good, Some(Outcome::Success("answered 192.0.2.2".into())));
        let bad = question("A", wanted).judge(&answer(0x8180, "A", &records[..1]));
        assert_eq!(failure(bad), "answered 192.0.2.1, wanted 192.0.2.2 or 192.0.2.3");
    }

    #[test]
    fn what_is_no_answer_says_why() {
        let ask = question("A", &[]);
        assert_eq!(failure(ask.judge(b"SSH")), "not DNS: shorter than a header");
        assert_eq!(
            failure(ask.judge(&ask.message().unwrap())),
            "not DNS: a question came back, not an answer"
        );
        assert_eq!(failure(ask.judge(&answer(0x8183, "A", &[]))), "NXDOMAIN for www.example.com A");
        assert_eq!(
            failure(ask.judge(&answer(0x8180, "AAAA", &[]))),
            "answer to another question than www.example.com A"
        );
        let mut other = answer(0x8180, "A", &[]);
        other[1] = 0;
        assert_eq!(failure(ask.judge(&other)), "answer with another id than the question");
        assert!(
            failure(ask.judge(&answer(0x8180, "A", &[(1, &[1, 2])]))).starts_with("answer is malformed: ")
        );
        assert_eq!(ask.judge(&answer(0x8380, "A", &[])), None, "cut short");
    }

    #[test]
    fn a_name_that_points_at_itself_ends() {
        let mut message = answer(0x8180, "MX", &[(15, b"\0\x0a\xc0\x2f")]);
        assert!(failure(question("MX", &[]).judge(&message)).starts_with("answer is malformed: "));
        message.truncate(40);
        assert!(failure(question("MX", &[]).judge(&message)).starts_with("answer is malformed: "));
    }

    #[test]
    fn any_bytes_are_judged() {
        let good = answer(0x8180, "A", &[(1, &[192, 0, 2, 1]), (16, b"\x03abc")]);
        crate::check::fuzz::mutations(&good, |bytes| {
            let _ = question("A", &[]).judge(bytes);
            let _ = question("ANY", &[]).judge(bytes);
        });
    }
}
