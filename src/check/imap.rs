//! The IMAP check (RFC 9051, RFC 3501): greeting, `STARTTLS` where wanted, log-in where given, `LOGOUT`.

use super::talk::Talk;
use super::tls::Clients;
use super::{Outcome, Step, Target};
use crate::config::model::{Login, MailTls};

/// Asks once.
pub async fn probe(target: &Target, clients: &Clients, login: Option<&Login>, tls: &MailTls) -> Outcome {
    ask(target, clients, login, tls).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target, clients: &Clients, login: Option<&Login>, tls: &MailTls) -> Step<Outcome> {
    let mut talk = Talk::open(target, clients, tls).await?;
    let mut said = talk.line().await?;
    if !(begins(&said, "* OK") || begins(&said, "* PREAUTH")) {
        return Err(talk.unfit(&said, "* OK"));
    }
    if let MailTls::Upgrade(tls) = tls {
        talk.say("STARTTLS", "s STARTTLS").await?;
        ok(&mut talk, "s").await?;
        talk = talk.upgrade(clients, tls).await?;
    }
    if let Some(login) = login {
        talk.conceal(&login.password);
        said = log_in(&mut talk, login).await?;
    }
    talk.leave("q LOGOUT").await;
    Ok(talk.fit(&said))
}

/// Each word that cannot stand in quotes goes as a literal, which the server asks for (RFC 9051 section 4.3).
async fn log_in(talk: &mut Talk, login: &Login) -> Step<Vec<u8>> {
    let mut line = "l LOGIN".to_owned();
    for word in [&login.user, &login.password] {
        if let Some(quoted) = quoted(word) {
            line = format!("{line} {quoted}");
            continue;
        }
        talk.say("LOGIN", &format!("{line} {{{}}}", word.len())).await?;
        let said = talk.line().await?;
        if !said.starts_with(b"+") {
            return Err(talk.unfit(&said, "+"));
        }
        line = word.clone();
    }
    talk.say("LOGIN", &line).await?;
    ok(talk, "l").await
}

/// A quoted string, if the word can be one.
fn quoted(word: &str) -> Option<String> {
    let plain = word.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    plain.then(|| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The answer to the command tagged `tag`; what is said between is not asked for.
async fn ok(talk: &mut Talk, tag: &str) -> Step<Vec<u8>> {
    loop {
        let line = talk.line().await?;
        if begins(&line, &format!("{tag} OK")) {
            return Ok(line);
        }
        if !line.starts_with(b"* ") || begins(&line, "* BYE") {
            return Err(talk.unfit(&line, &format!("{tag} OK")));
        }
    }
}

fn begins(line: &[u8], words: &str) -> bool {
    line.get(..words.len()).is_some_and(|head| head.eq_ignore_ascii_case(words.as_bytes()))
        && line.get(words.len()).is_none_or(|next| *next == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_quotes() {
        assert_eq!(quoted("a b").unwrap(), "\"a b\"");
        assert_eq!(quoted(r#"a"b\c"#).unwrap(), r#""a\"b\\c""#);
        assert_eq!(quoted("pässword"), None);
    }

    #[test]
    fn answers_are_whole_words_in_any_case() {
        assert!(begins(b"* ok ready", "* OK") && begins(b"* OK", "* OK"));
        assert!(!begins(b"* OKAY", "* OK") && !begins(b"*", "* OK"));
    }
}
