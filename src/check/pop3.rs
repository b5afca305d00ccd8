//! The POP3 check (RFC 1939, RFC 2595): greeting, `STLS` where wanted, log-in where given, `QUIT`.

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
    let mut said = ok(&mut talk).await?;
    if let MailTls::Upgrade(tls) = tls {
        talk.say("STLS", "STLS").await?;
        ok(&mut talk).await?;
        talk = talk.upgrade(clients, tls).await?;
    }
    if let Some(login) = login {
        talk.conceal(&login.password);
        talk.say("USER", &format!("USER {}", login.user)).await?;
        ok(&mut talk).await?;
        talk.say("PASS", &format!("PASS {}", login.password)).await?;
        said = ok(&mut talk).await?;
    }
    talk.leave("QUIT").await;
    Ok(talk.fit(&said))
}

async fn ok(talk: &mut Talk) -> Step<Vec<u8>> {
    let line = talk.line().await?;
    match line.strip_prefix(b"+OK") {
        Some([] | [b' ', ..]) => Ok(line),
        _ => Err(talk.unfit(&line, "+OK")),
    }
}
