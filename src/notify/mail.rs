//! Alarms by mail: RFC 5321 with STARTTLS (RFC 3207) and AUTH (RFC 4954), a message by RFC 5322.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use base64ct::{Base64, Encoding};

use crate::check::reply::Reply;
use crate::check::talk::Talk;
use crate::check::tls::Clients;
use crate::check::{Notice, Outcome, Step, Target};
use crate::config::model::{Check, CheckKind, Login, Mail, MailTls};
use crate::ctl::logs::moment;
use crate::ipc::message::Alarm;

/// Characters of a Base64 line (RFC 2045 section 6.8).
const LINE: usize = 76;

/// Sends one mail with all of `alarms` by the one at `server`, logged in by `login`; what the server said in the end.
///
/// # Errors
/// The outcome in words, as a check has it.
pub async fn send(
    mail: &Mail,
    server: SocketAddr,
    login: Option<&Login>,
    clients: &Clients,
    host: &str,
    alarms: &[Alarm],
    now_ms: u64,
) -> Step<String> {
    let target = Target::new(server, std::sync::Arc::new(Check::new(CheckKind::None)));
    let mut talk = Talk::open(&target, clients, &mail.tls).await?;
    Reply::expect(&mut talk, &[220]).await?;
    let me = mail.helo.clone().unwrap_or_else(|| name(&talk, host));
    let mut offers = hello(&mut talk, &me).await?;
    if let MailTls::Upgrade(tls) = &mail.tls {
        if !offers.offers("STARTTLS") {
            return Err(talk.failure("server does not offer STARTTLS"));
        }
        talk.say("STARTTLS", "STARTTLS").await?;
        Reply::expect(&mut talk, &[220]).await?;
        talk = talk.upgrade(clients, tls).await?;
        offers = hello(&mut talk, &me).await?;
    }
    if let Some(login) = login {
        authenticate(&mut talk, &offers, login).await?;
    }
    talk.say("MAIL", &format!("MAIL FROM:<{}>", mail.from)).await?;
    Reply::expect(&mut talk, &[250]).await?;
    let refused = recipients(&mut talk, &mail.to).await?;
    talk.say("DATA", "DATA").await?;
    Reply::expect(&mut talk, &[354]).await?;
    talk.send("message", &(stuffed(&message(mail, host, alarms, &refused, now_ms)) + ".\r\n")).await?;
    let taken = Reply::expect(&mut talk, &[250]).await?;
    let said = String::from_utf8_lossy(taken.first()).into_owned();
    talk.leave("QUIT").await;
    if refused.is_empty() {
        return Ok(said);
    }
    let refused = refused.join("; ");
    log::warn!("alarms not taken for every recipient: refused={refused}");
    Ok(format!("{said}; not for {refused}"))
}

/// Names those who are to have it: which the server refuses, and why. One that is gone must not keep it from the others.
async fn recipients(talk: &mut Talk, to: &[String]) -> Step<Vec<String>> {
    const TAKEN: [u16; 2] = [250, 251];
    let mut refused = Vec::new();
    let mut last = None;
    for to in to {
        talk.say("RCPT", &format!("RCPT TO:<{to}>")).await?;
        let reply = Reply::read(talk).await?;
        if !reply.code.is_some_and(|code| TAKEN.contains(&code)) {
            refused.push(format!("{to}: {}", String::from_utf8_lossy(reply.first())));
            last = Some(reply);
        }
    }
    match last {
        Some(last) if refused.len() == to.len() => Err(last.unfit(talk, &TAKEN)),
        _ => Ok(refused),
    }
}

/// The host's name if it is a whole one, else the address that it speaks from (RFC 5321 section 4.1.3).
fn name(talk: &Talk, host: &str) -> String {
    if host.contains('.') {
        return host.to_owned();
    }
    match talk.local().map(|address| address.ip()) {
        Ok(IpAddr::V4(address)) => format!("[{address}]"),
        Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => "localhost".to_owned(),
    }
}

async fn hello(talk: &mut Talk, me: &str) -> Step<Reply> {
    talk.say("EHLO", &format!("EHLO {me}")).await?;
    Reply::expect(talk, &[250]).await
}

async fn authenticate(talk: &mut Talk, offers: &Reply, login: &Login) -> Step<()> {
    let Login { user, password } = login;
    talk.conceal(password);
    let (user64, password64) =
        (Base64::encode_string(user.as_bytes()), Base64::encode_string(password.as_bytes()));
    let plain = Base64::encode_string(format!("\0{user}\0{password}").as_bytes());
    talk.conceal(&password64);
    talk.conceal(&plain);
    match mechanism(offers) {
        Some("PLAIN") => talk.say("AUTH", &format!("AUTH PLAIN {plain}")).await?,
        Some(_) => {
            talk.say("AUTH", "AUTH LOGIN").await?;
            Reply::expect(talk, &[334]).await?;
            talk.say("AUTH", &user64).await?;
            Reply::expect(talk, &[334]).await?;
            talk.say("AUTH", &password64).await?;
        }
        None => return Err(talk.failure("server offers neither AUTH PLAIN nor AUTH LOGIN")),
    }
    Reply::expect(talk, &[235]).await.map(drop)
}

/// The mechanism to use, of those in the answer to `EHLO`.
fn mechanism(offers: &Reply) -> Option<&'static str> {
    let line = offers.lines.iter().filter_map(|line| std::str::from_utf8(line.get(4..)?).ok());
    let mut words = line.flat_map(|line| {
        let line = line.to_ascii_uppercase();
        let offered = line.strip_prefix("AUTH ").or_else(|| line.strip_prefix("AUTH=")).map(str::to_owned);
        offered.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    let all: Vec<String> = words.by_ref().collect();
    ["PLAIN", "LOGIN"].into_iter().find(|name| all.iter().any(|word| word == name))
}

/// The message, with line ends of the wire; it says who does not have it.
fn message(mail: &Mail, host: &str, alarms: &[Alarm], refused: &[String], now_ms: u64) -> String {
    let mut out = String::new();
    let id = alarms.last().map_or(0, |alarm| alarm.id);
    let subject = match alarms {
        [only] => format!("[{host}] {}", only.text),
        several => {
            let gravest = several.iter().min_by_key(|alarm| alarm.severity);
            let text = gravest.map(|alarm| alarm.text.as_str()).unwrap_or_default();
            format!("[{host}] {} alarms: {text}", several.len())
        }
    };
    for (name, value) in [
        ("From", mail.from.clone()),
        ("To", mail.to.join(", ")),
        ("Subject", header(&subject)),
        ("Date", date(now_ms)),
        ("Message-ID", format!("<{id}.{now_ms}@{}>", header(host).replace(' ', "-"))),
        ("Auto-Submitted", "auto-generated".to_owned()), // RFC 3834: nobody answers by machine
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "base64".to_owned()),
    ] {
        // A string takes whatever is written to it.
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out.push_str("\r\n");
    let mut text = String::new();
    for alarm in alarms {
        let _ = writeln!(text, "{} UTC  {}", moment(alarm.time_ms), alarm.text);
    }
    for who in refused {
        let _ = writeln!(text, "\nThe mail server does not take this for {who}");
    }
    let _ = write!(text, "\n-- \nDirector on {host}\n");
    let coded = Base64::encode_string(text.as_bytes());
    for line in coded.as_bytes().chunks(LINE) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push_str("\r\n");
    }
    out
}

/// A line of a header: one line, and encoded where it is not ASCII (RFC 2047).
fn header(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    if text.is_ascii() {
        return text;
    }
    // A line with an encoded word has at most 76 characters, the name of the field included: 39 bytes of text.
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= 39 => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let coded = words.iter().map(|word| format!("=?utf-8?B?{}?=", Base64::encode_string(word.as_bytes())));
    coded.collect::<Vec<_>>().join("\r\n ")
}

/// RFC 5322 section 3.3.
fn date(now_ms: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = moment(now_ms);
    let (day, time) = text.split_once(' ').unwrap_or_default();
    let mut parts = day.split('-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let month = month.and_then(|month| month.parse::<usize>().ok()).and_then(|month| MONTHS.get(month - 1));
    let weekday = usize::try_from(now_ms / 86_400_000 % 7).ok().and_then(|at| DAYS.get(at));
    format!(
        "{}, {} {} {} {time} +0000",
        weekday.unwrap_or(&"Thu"),
        day.unwrap_or("1"),
        month.unwrap_or(&"Jan"),
        year.unwrap_or("1970")
    )
}

/// A dot at the begin of a line is doubled (RFC 5321 section 4.5.2).
fn stuffed(message: &str) -> String {
    let doubled = |line: &str| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() };
    message.split_inclusive('\n').map(doubled).collect()
}

/// The outcome of a step that failed, in words.
#[must_use]
pub fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Success(reason)
        | Outcome::Warning(Notice { reason, .. })
        | Outcome::Feedback(_, reason)
        | Outcome::Failure(reason)
        | Outcome::Unreachable(reason)
        | Outcome::Inconclusive(reason) => reason.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::HostPort;
    use crate::ipc::message::AlarmKind;

    #[test]
    fn a_message_is_one_that_mail_programs_read() {
        let alarm = Alarm {
            id: 7,
            time_ms: 1_795_169_293_007,
            kind: AlarmKind::Server,
            subject: "web 10.0.0.1:80".to_owned(),
            state: "down".to_owned(),
            severity: 4,
            text: "server 10.0.0.1:80 of web is down: got \"ö\r\nBcc: x\"".to_owned(),
            words: Vec::new(),
        };
        let mail = Mail {
            server: HostPort::read("192.0.2.9:25").unwrap(),
            from: "lb1@example.com".to_owned(),
            to: vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
            tls: MailTls::Off,
            login: None,
            helo: None,
            digest: std::time::Duration::ZERO,
        };
        let text = message(&mail, "lb1", &[alarm.clone(), alarm], &[], 1_795_169_293_007);
        assert!(text.contains("\r\nTo: a@example.com, b@example.com\r\nSubject: =?utf-8?B?"), "{text}");
        assert!(
            text.contains(
                "\r\nDate: Fri, 20 Nov 2026 10:08:13 +0000\r\nMessage-ID: <7.1795169293007@lb1>\r\n"
            ),
            "{text}"
        );
        assert!(!text.contains("Bcc") && text.lines().all(|line| line.len() <= 78), "{text}");
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let body = Base64::decode_vec(&body.replace("\r\n", "")).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(
            body.starts_with("2026-11-20 10:08:13 UTC  server 10.0.0.1:80 of web is down: got \"ö"),
            "{body}"
        );
    }

    #[test]
    fn mechanisms_and_dots() {
        let offers =
            |line: &str| Reply { code: Some(250), lines: vec![b"250-mx".to_vec(), line.as_bytes().to_vec()] };
        assert_eq!(mechanism(&offers("250-AUTH CRAM-MD5 login")), Some("LOGIN"));
        assert_eq!(mechanism(&offers("250 AUTH LOGIN PLAIN")), Some("PLAIN"));
        assert_eq!(mechanism(&offers("250 AUTHOR PLAIN")), None);
        assert_eq!(stuffed("a\r\n.b\r\n..\r\n"), "a\r\n..b\r\n...\r\n");
    }
}
